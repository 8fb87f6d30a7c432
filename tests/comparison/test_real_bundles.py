"""Really exported networks, one bigger than the other: memory needs no quiet machine.

Speed does; `benchmarks/compare.py` measures that.
"""

import json
from pathlib import Path

import pytest

import edgecnn
from edgecnn.comparison import compare
from edgecnn.preprocessing import Preprocessing
from edgecnn.targets.engines import runtimes

TRIES = 10


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_bundle_15_percent_bigger_is_flagged_every_time(tmp_path: Path) -> None:
    """ResNet-18, and the same with a wide enough last layer; and never the first against itself."""
    small, big = (
        edgecnn.export(
            edgecnn.build("resnet18", input_shape=(64, 64, 3), classes=classes),
            preprocessing=Preprocessing(64, 64),
            labels=[f"class {i}" for i in range(classes)],
            out=tmp_path / f"{classes}",
        ).path
        for classes in (1000, 30_000)
    )

    def profiled(bundle: Path, name: str) -> tuple[Path, dict[str, int]]:
        found = edgecnn.profile(bundle, threads=(1,), runs=5, seconds=0, processes=1)
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(found.to_json()))
        return path, {run.runtime: run.memory_bytes.peak for run in found.runs}

    first, before = profiled(small, "first")
    assert set(before) == set(runtimes.RUNTIMES)
    for number in range(TRIES):
        again, _ = profiled(small, f"again {number}")
        grown, after = profiled(big, f"grown {number}")
        assert min(after[name] / before[name] for name in before) >= 1.15
        sizes = ("peak memory", "files", "activations")
        same = compare(first, again).regressions
        assert not [figure for figure in same if figure.name in sizes], number
        flagged = {(f.subject, f.name) for f in compare(first, grown).regressions}
        for name in before:
            assert {(f"{name}, 1 thread", size) for size in sizes[:2]} <= flagged, number
