"""Old against new: what counts as a regression, and what noise may not do."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgecnn
from edgecnn.comparison import Comparison, compare, profiles
from edgecnn.comparison.evaluations import drop_interval
from edgecnn.comparison.figure import Limits, judge
from edgecnn.errors import DataError
from edgecnn.spread import Estimate

Write = Callable[[dict[str, Any]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(report: dict[str, Any]) -> Path:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.json"
        path.write_text(json.dumps(report))
        return path

    return to_file


def latencies(
    rng: np.random.Generator, *, between: float = 0.01, processes: int = 3
) -> list[list[float]]:
    """Latencies as they look: a level for each process, jitter, and a slow tail."""
    levels = 10 * np.exp(rng.normal(0, between, processes))
    return [
        list(level * (1 + 0.01 * rng.standard_normal(34) + 0.05 * rng.exponential(size=34) ** 2))
        for level in levels
    ]


def profile(processes: list[list[float]], **changed: Any) -> dict[str, Any]:
    samples = [ms for part in processes for ms in part]
    p50, p90, p99 = np.percentile(samples, (50, 90, 99), method="inverted_cdf")
    run = {
        "runtime": "litert",
        "engine": "ai-edge-litert 2.3.0",
        "threads": 2,
        "count": len(samples),
        "latency_ms": {"p50": p50, "p90": p90, "p99": p99},
        "samples_ms": samples,
        "process_counts": [len(part) for part in processes],
        "memory_bytes": {"peak": 100_000_000},
        "artifact_bytes": 5_000_000,
        "predicted_bytes": {"arena": 1_500_000},
        "invalid_reasons": [],
    }
    return {"board": "a board", "cpu": "a cpu", "runs": [run | changed]}


def evaluation(top1: float, count: int = 1000) -> dict[str, Any]:
    return {"data": "digits", "count": count, "artifacts": {"tflite": {"top1": top1}}}


def verdicts(found: Comparison) -> dict[str, str]:
    return {figure.name: figure.verdict for figure in found.figures}


@pytest.mark.parametrize("seed", range(20))
def test_the_same_bundle_is_no_regression_and_one_15_percent_slower_is(
    write: Write, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    old, again, slow = (latencies(rng) for _ in range(3))
    slow = [[1.15 * ms for ms in part] for part in slow]
    first = write(profile(old))
    assert not compare(first, write(profile(again))).regressions
    assert verdicts(compare(first, write(profile(slow))))["latency p50"] == "regression"


def test_processes_that_disagree_make_a_latency_unclear(write: Write) -> None:
    old = [[10.0] * 34, [10.2] * 34, [9.9] * 34]
    new = [[9.0] * 34, [11.0] * 34, [14.0] * 34]
    (p50, *_) = compare(write(profile(old)), write(profile(new))).figures
    assert p50.change == pytest.approx(0.1)
    assert p50.verdict == "unclear"
    assert "--processes" in p50.reason


def test_a_disturbed_run_is_no_proof(write: Write) -> None:
    old, new = [[10.0] * 34] * 3, [[20.0] * 34] * 3
    busy = write(profile(new, invalid_reasons=["other programs used 1.0 cores"]))
    found = compare(write(profile(old)), busy)
    assert verdicts(found)["latency p50"] == "unclear"
    assert "other programs" in found.figures[0].reason
    # On a board that goes on working, both are measured beside the same.
    reports = (profile(old), profile(new, invalid_reasons=["other programs used 1.0 cores"]))
    beside, _ = profiles.figures(*reports, Limits(), beside_others=True)
    assert beside[0].verdict == "regression"


def test_the_99th_percentile_needs_a_thousand_runs(write: Write) -> None:
    for count, verdict in ((100, "unclear"), (400, "regression")):
        old, new = ([[ms] * count] * 3 for ms in (10.0, 20.0))
        found = compare(write(profile(old)), write(profile(new)))
        assert verdicts(found)["latency p99"] == verdict


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"memory_bytes": {"peak": 115_000_000}}, "peak memory"),
        ({"artifact_bytes": 5_750_000}, "files"),
        ({"predicted_bytes": {"arena": 1_725_000}}, "activations"),
    ],
)
def test_15_percent_more_memory_is_a_regression(
    write: Write, changed: dict[str, Any], name: str
) -> None:
    part = [[10.0] * 34] * 3
    old, new = write(profile(part)), write(profile(part, **changed))
    assert [figure.name for figure in compare(old, new).regressions] == [name]
    assert not compare(old, new, Limits(memory=0.2)).regressions
    assert not compare(new, old).regressions


def test_a_drop_of_accuracy(write: Write) -> None:
    old = write(evaluation(0.970))
    assert not compare(old, write(evaluation(0.966))).regressions
    (worse,) = compare(old, write(evaluation(0.963))).regressions
    assert worse.change == pytest.approx(0.7)
    assert verdicts(compare(old, write(evaluation(0.98)))) == {"top-1": "better"}
    with pytest.raises(DataError, match="different pictures"):
        compare(old, write(evaluation(0.97, count=10)))


def test_a_bigger_export(write: Write) -> None:
    old: dict[str, Any] = {
        "bundle": "b",
        "precision": "int8",
        "artifacts": {"onnx": {"bytes": 1000, "agreement_top1": 0.99}},
    }
    new = copy.deepcopy(old)
    new["artifacts"]["onnx"] = {"bytes": 1150, "agreement_top1": 0.98}
    found = compare(write(old), write(new))
    assert verdicts(found) == {"files": "regression", "agreement": "regression"}


def test_what_cannot_be_compared_is_said(write: Write, tmp_path: Path) -> None:
    old = write(profile([[10.0] * 34]))
    with pytest.raises(DataError, match="different machines"):
        compare(old, write(profile([[10.0]]) | {"board": "another"}))
    with pytest.raises(DataError, match="no engine"):
        compare(old, write(profile([[10.0]], threads=1)))
    with pytest.raises(DataError, match="of the kind"):
        compare(old, write(evaluation(0.9)))
    with pytest.raises(DataError, match="no report"):
        compare(old, write({"a": 1}))
    with pytest.raises(DataError, match="lacks something"):
        compare(old, write({"board": "a board", "cpu": "a cpu", "runs": [{}]}))
    with pytest.raises(DataError, match="Cannot read"):
        compare(old, tmp_path / "none.json")
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(DataError, match="not readable JSON"):
        compare(old, broken)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.floats(0.1, 100), min_size=1, max_size=30), min_size=1, max_size=4),
    st.floats(1, 99),
)
def test_an_estimate_is_a_sample_inside_its_interval(
    processes: list[list[float]], percentile: float
) -> None:
    found = Estimate.of(processes, percentile)
    low, high = found.interval
    assert any(found.value in part for part in processes)
    assert low <= found.value <= high
    ratio, (below, above) = found.over(found)
    assert ratio == 1
    assert below <= 1 <= above


def test_the_interval_covers_the_true_median_nearly_always() -> None:
    """Of log-normal processes around 10 ms; 95% is claimed."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(100):
        levels = 10 * np.exp(rng.normal(0, 0.05, 3))
        parts = [list(level * np.exp(rng.normal(0, 0.01, 40))) for level in levels]
        low, high = Estimate.of(parts, 50).interval
        held += low <= 10 <= high
    assert held >= 88


@settings(deadline=None)
@given(st.floats(-1, 1), st.floats(0, 0.5), st.floats(0, 0.5))
def test_only_a_whole_interval_beyond_the_limit_is_a_regression(
    change: float, half: float, allowed: float
) -> None:
    verdict = judge(change, (change - half, change + half), allowed)
    assert (verdict == "regression") == (change - half > allowed)
    assert (verdict in ("regression", "unclear")) == (change > allowed or change - half > allowed)


@settings(deadline=None)
@given(st.integers(1, 500), st.data())
def test_the_interval_of_a_drop_holds_it(count: int, data: st.DataObject) -> None:
    old, new = (data.draw(st.integers(0, count)) / count for _ in range(2))
    low, high = drop_interval(old, new, count)
    assert -100 - 1e-9 <= low <= 100 * (old - new) + 1e-9
    assert 100 * (old - new) - 1e-9 <= high <= 100 + 1e-9


def test_newcombes_own_example() -> None:
    """9 of 10 against 3 of 10 (Newcombe 1998, table II, method 10)."""
    low, high = drop_interval(0.9, 0.3, 10)
    assert low == pytest.approx(17.05, abs=0.01)
    assert high == pytest.approx(80.90, abs=0.01)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgecnn", "compare", *map(str, arguments)],
        capture_output=True,
        text=True,
    )


def test_the_command_gates(write: Write) -> None:
    old, new = write(profile([[10.0] * 34] * 3)), write(profile([[12.0] * 34] * 3))
    done = run(old, new, "--markdown")
    assert done.returncode == 1
    assert "latency p50 +20.0%" in done.stderr
    assert "| litert, 2 threads | latency p50 | 10.00 ms | 12.00 ms |" in done.stdout
    allowed = run(old, new, "--max-latency", "+25%", "--json")
    assert allowed.returncode == 0, allowed.stderr
    assert json.loads(allowed.stdout)["regressions"] == 0
    table = run(old, old)
    assert table.returncode == 0
    assert "no regression" in table.stdout
    assert run(old, new, "--max-latency", "much").returncode == 2


def test_it_reads_what_profile_writes(write: Write, colour_profile: dict[str, Any]) -> None:
    written = write(colour_profile)
    found = edgecnn.compare(written, written)
    assert not found.regressions
    assert {f.name for f in found.figures} >= {"latency p50", "peak memory", "activations"}
