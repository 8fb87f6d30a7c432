"""MLCommons' LoadGen over a session."""

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import edgecnn
from edgecnn.errors import EdgeCnnError, MissingExtra, RuntimeUnavailable
from edgecnn.targets.engines import probe
from edgecnn.targets.profiling import loadgen

pytest.importorskip("mlperf_loadgen", reason="its wheels are for x86-64 only")


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("loadgen")


@pytest.fixture(scope="module")
def found(logs: Path, tmp_path_factory: pytest.TempPathFactory) -> loadgen.SingleStream:
    """A profile of the small probe with LoadGen in LiteRT."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGECNN_CACHE", str(tmp_path_factory.mktemp("cache")))
        profile = edgecnn.profile(
            probe.bundle("colours").path,
            runtimes=("litert",),
            threads=(1,),
            runs=200,
            seconds=0.2,
            processes=1,
            loadgen=logs,
        )
    (run,) = profile.runs
    assert run.loadgen is not None
    return run.loadgen


def test_the_figure_is_loadgens(found: loadgen.SingleStream, logs: Path) -> None:
    assert found.log == str(logs / "litert-t1")
    assert found == loadgen.read(logs / "litert-t1")
    summary = (logs / "litert-t1" / loadgen.SUMMARY).read_text()
    assert "Scenario : SingleStream" in summary
    assert f"90.0th percentile latency (ns) : {round(found.p90_ms * 1e6)}" in summary
    assert "min_query_count : 200" in summary
    assert found.valid == ("Result is : VALID" in summary)


class Failing:
    """A session whose engine breaks down."""

    engine, threads, classes, features = "none", 1, 2, 0
    input_shape: tuple[int, ...] = (1, 4, 4, 3)

    def infer(
        self, image: NDArray[np.uint8], features: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        raise RuntimeUnavailable("broke down")


def test_an_engine_that_fails_meanwhile_is_told(tmp_path: Path) -> None:
    image = np.zeros((1, 4, 4, 3), np.uint8)
    with pytest.raises(RuntimeUnavailable, match="broke down"):
        loadgen.single_stream(
            Failing(), image, tmp_path / "log", queries=1, seconds=0, expected_ms=1
        )


def test_a_log_without_result_and_a_missing_package_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EdgeCnnError, match="wrote no"):
        loadgen.read(tmp_path)
    (tmp_path / loadgen.SUMMARY).write_text("Scenario : Offline\n")
    with pytest.raises(EdgeCnnError, match="no result"):
        loadgen.read(tmp_path)
    monkeypatch.setitem(sys.modules, "mlperf_loadgen", None)
    with pytest.raises(MissingExtra, match=r"edgecnn\[mlperf\]"):
        loadgen.check_installed()
