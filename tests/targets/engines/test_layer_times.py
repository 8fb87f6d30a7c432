"""Times of operators: from the engines' profilers to the layers of the RAM analysis."""

from collections.abc import Iterator

import numpy as np
import pytest

import edgecnn
from edgecnn.errors import RuntimeUnavailable
from edgecnn.targets.engines import probe, runtimes
from edgecnn.targets.engines.layer_times import RUNS, LayerTime, joined, medians
from edgecnn.targets.profiling import report


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGECNN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_the_median_of_each_operator_in_the_order_they_ran() -> None:
    events = [("b", "conv", 1.0), ("a", "add", 5.0), ("b", "conv", 9.0), ("b", "conv", 2.0)]
    assert medians(events) == (LayerTime("b", "conv", 2.0), LayerTime("a", "add", 5.0))


def test_each_layer_is_given_away_once() -> None:
    layers = [{"name": "c1", "macs": 4_000_000}, {"name": "c10", "macs": 7}]
    names = ("c1/WithoutBiases", "c1", "c10_token_3", "c1_reorder", "other")
    found = joined([LayerTime(name, "conv", 2.0) for name in names], layers)
    assert [time.layer for time in found] == ["c1", None, "c10", None, None]
    assert [time.macs for time in found] == [4_000_000, 0, 7, 0, 0]
    assert found[0].gmacs_per_s == 2.0


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_the_engines_own_profiler_times_the_weighted_layers(runtime: str) -> None:
    bundle = probe.bundle("deep")
    engine = runtimes.get(runtime)
    image = np.zeros(bundle.preprocessing.shape, np.uint8)
    times = engine.time_layers(bundle.model_file(engine.format), 1, image)
    layers = bundle.manifest["ram_analysis"]["layers"]
    found = {time.layer for time in joined(times, layers)}
    weighted = {layer["name"] for layer in layers if layer["macs"]}
    assert len(weighted & found) >= 0.9 * len(weighted)
    assert RUNS > 1
    assert all(time.ms >= 0 for time in times)


def test_litert_says_why_it_has_none() -> None:
    with pytest.raises(RuntimeUnavailable, match="no time per operator"):
        runtimes.get("litert").time_layers(
            probe.bundle("deep").path, 1, np.zeros((1, 16, 16, 3), np.uint8)
        )


def test_a_profile_holds_them() -> None:
    bundle = probe.bundle("deep").path
    found = edgecnn.profile(bundle, threads=(1,), runs=5, seconds=0, processes=1, per_layer=True)
    runs = {run.runtime: run for run in found.runs}
    assert runs["litert"].layers is None
    assert "no time per operator" in runs["litert"].no_layers_reason
    for name in ("onnxruntime", "openvino"):
        layers = runs[name].to_json()["layers"]
        assert {"name", "type", "ms", "layer", "macs", "gmacs_per_s"} <= set(layers[0])
        assert sum(layer["macs"] for layer in layers) > 0
    page = report.render(found, None)
    assert page.count("Milliseconds of each operator") == 2
