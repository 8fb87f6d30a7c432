import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgecnn
from edgecnn import cache
from edgecnn.bundle import Bundle
from edgecnn.errors import RuntimeUnavailable
from edgecnn.targets.board.process_memory import Memory
from edgecnn.targets.board.target import detect
from edgecnn.targets.engines import probe, runtimes
from edgecnn.targets.engines.memory_model import EngineBaseline, NetworkMemory
from edgecnn.targets.engines.runtimes import onnxruntime
from edgecnn.targets.profiling import baseline, measuring, profiler
from edgecnn.targets.profiling.disturbance import CpuClock, Disturbance
from edgecnn.targets.profiling.profile import Distribution, Profile

RUN = {
    "runtime",
    "engine",
    "precision",
    "threads",
    "count",
    "latency_ms",
    "end_to_end_ms",
    "load_ms",
    "first_inference_ms",
    "memory_bytes",
    "predicted_bytes",
    "prediction_error",
    "thermal",
    "valid",
}


@pytest.fixture(autouse=True, scope="module")
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A cache of its own, so that every baseline is measured here and now."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("EDGECNN_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def found(cache_home: Path, colour_bundle: Path) -> Profile:
    """A profile of the probe in every runtime."""
    profile: Profile = edgecnn.profile(colour_bundle, threads=(1,), runs=20, seconds=0)
    return profile


def test_every_runtime_was_measured(found: Profile) -> None:
    assert {run.runtime for run in found.runs} == set(runtimes.RUNTIMES)
    assert not found.skipped
    for run in found.runs:
        assert run.count == len(run.samples_ms) == sum(run.process_counts) == 21
        assert run.process_counts == (7, 7, 7)
        for percentile in ("p50", "p90", "p99"):
            low, high = getattr(run.latency_interval_ms, percentile)
            assert low <= getattr(run.latency_ms, percentile) <= high
        assert min(run.samples_ms) > 0
        assert run.warmup_count >= 20
        assert run.load_ms > 0
        assert run.first_inference_ms > 0
        way = run.end_to_end_ms
        assert way.total_p50 <= way.total_p99
        assert way.inference > 0


def test_memory_grows_from_step_to_step(found: Profile) -> None:
    for run in found.runs:
        memory = run.memory_bytes
        assert 0 < memory.before_load < memory.after_load <= memory.after_first_inference
        assert memory.peak >= memory.after_first_inference
        assert memory.proportional is None or memory.proportional <= memory.peak


def test_the_prediction_stands_beside_the_measurement(found: Profile) -> None:
    for run in found.runs:
        predicted = run.predicted_bytes
        assert predicted is not None
        parts = predicted.weights + predicted.arena + predicted.graph + predicted.baseline
        assert predicted.peak == parts
        assert run.prediction_error == predicted.peak / run.memory_bytes.peak - 1
        # The baseline is this very network's, measured in another process.
        assert abs(run.prediction_error) < 0.05


def test_json_has_the_documented_shape(found: Profile) -> None:
    data = json.loads(json.dumps(found.to_json()))
    assert set(data) >= {"target", "board", "cpu", "versions", "bundle", "runs", "best"}
    for run in data["runs"]:
        assert set(run) >= RUN
        assert set(run["latency_ms"]) == {"p50", "p90", "p99", "min", "max", "mean", "std"}
        assert set(run["predicted_bytes"]) >= {"weights", "arena", "baseline", "peak"}
    assert set(data["best"]) == {"runtime", "threads", "p90_ms"}
    assert data["ranking"][0] == data["best"]
    assert len(data["ranking"]) <= len(data["runs"])


def test_best_is_the_lowest_p90_of_the_valid_runs(found: Profile) -> None:
    slow, fast, disturbed = (
        replace(found.runs[0], runtime=name, latency_ms=Distribution.of([p90]), valid=valid)
        for name, p90, valid in (("a", 9.0, True), ("b", 5.0, True), ("c", 1.0, False))
    )
    assert replace(found, runs=(slow, disturbed, fast)).best.runtime == "b"
    assert replace(found, runs=(disturbed,)).best.runtime == "c"


def test_percentiles_are_latencies_that_occurred() -> None:
    samples = [float(n) for n in range(1, 101)]
    found = Distribution.of(samples)
    assert (found.p50, found.p90, found.p99) == (50, 90, 99)
    assert (found.min, found.max, found.mean) == (1, 100, 50.5)
    assert found.std == pytest.approx(np.std(samples))
    assert Distribution.of([3.0]).p99 == 3


def test_a_baseline_is_measured_once(
    cache_home: Path, found: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = detect()
    before = {name: baseline.baseline(name, 1, board) for name in runtimes.RUNTIMES}

    def never(*_: object, **__: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(baseline, "measure", never)
    assert {name: baseline.baseline(name, 1, board) for name in runtimes.RUNTIMES} == before
    with pytest.raises(AssertionError, match="measured again"):
        baseline.baseline("litert", 2, board)
    kept = json.loads((cache_home / baseline.FILE).read_text())
    assert all(entry["provenance"]["measured_at"] for entry in kept)


def test_a_cut_off_cache_is_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECNN_CACHE", str(tmp_path))
    kept = cache.folder() / baseline.FILE
    kept.write_text('[{"peak_bytes": 12')
    found = baseline.baseline("litert", 1, detect())
    assert found.peak_bytes > 10e6
    assert json.loads(kept.read_text())[0]["peak_bytes"] == found.peak_bytes


def network(weights: tuple[int, ...], **changed: Any) -> NetworkMemory:
    layers = tuple({"type": "conv", "output_shape": [56, 56, 64]} for _ in weights)
    known: dict[str, Any] = {"file_bytes": sum(weights), "arena_bytes": 0, "precision": "int8"}
    known |= changed
    return NetworkMemory(weights=weights, operators=len(weights), layers=layers, **known)


def test_litert_and_openvino_hold_the_file_and_a_packed_copy() -> None:
    for name in ("litert", "openvino"):
        assert runtimes.get(name).weights_bytes(network((5, 7), file_bytes=20)) == 32


def test_onnxruntime_holds_large_tensors_twice_one_at_a_time() -> None:
    large = onnxruntime.MMAP_THRESHOLD_BYTES + 1
    count = runtimes.get("onnxruntime").weights_bytes
    assert count(network((5, 7))) == 24
    assert count(network((large, 5))) == 2 * large + 5
    assert count(network((large, large + 8, 5))) == 3 * large + 21


def test_litert_points_at_every_kernel_position() -> None:
    def layer(type: str, kernel: tuple[int, int], stride: int = 1) -> dict[str, Any]:
        return {
            "type": type,
            "output_shape": [10, 20, 8],
            "kernel": list(kernel),
            "strides": [stride, stride],
        }

    def scratch(*layers: dict[str, Any]) -> int:
        return runtimes.get("litert").scratch_bytes(replace(network(()), layers=layers))

    assert scratch(layer("conv", (1, 1))) == 0
    assert scratch(layer("conv", (3, 3))) == 8 * 9 * 200
    assert scratch(layer("depthwise+relu", (5, 5))) == 8 * 5 * 200
    assert scratch(layer("depthwise", (5, 5), stride=2)) == 8 * 10 * 200


def test_the_prediction_adds_what_each_operator_takes() -> None:
    constants = EngineBaseline(peak_bytes=1000, operators=2, operator_bytes=10, provenance={})
    predicted = profiler.predict(
        runtimes.get("openvino"), network((5, 7, 9), arena_bytes=300), constants
    )
    assert (predicted.weights, predicted.arena, predicted.graph) == (42, 300, 10)
    assert predicted.peak == 1352


def test_float16_weights_count_as_float32(
    write_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    small = Bundle.load(write_bundle(tmp_path / "int8"))
    half = Bundle.load(write_bundle(tmp_path / "fp16", precision="fp16"))
    int8, fp16 = (NetworkMemory.of(b, "onnx") for b in (small, half))
    assert int8 is not None
    assert fp16 is not None
    assert fp16.weights_bytes == pytest.approx(2 * int8.weights_bytes, abs=4)


def test_a_bundle_without_analysis_has_no_prediction(
    write_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    bundle = write_bundle(tmp_path / "old", ram_analysis=None)
    found = edgecnn.profile(
        bundle, runtimes=("litert",), threads=(1,), runs=5, seconds=0, processes=1
    )
    (run,) = found.runs
    assert run.predicted_bytes is None
    assert run.prediction_error is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL .*out of memory"),
        ("import os; os.abort()", "ended by SIGABRT"),
        ("raise SystemExit('the reason')", "the reason"),
        ("pass", "it said: nothing"),
        ("""print('{"error": "no such model"}')""", "no such model"),
    ],
)
def test_how_a_worker_ended_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, message: str
) -> None:
    (tmp_path / "a_worker.py").write_text(body)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(measuring, "WORKER", "a_worker")
    with pytest.raises(RuntimeUnavailable, match=message):
        measuring.measure(tmp_path, "litert", 1, runs=1, seconds=0, target="auto")


def test_a_runtime_asked_for_by_name_must_be_there(
    colour_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtimes, "missing", lambda _: "not installed here")
    with pytest.raises(RuntimeUnavailable, match="not installed here"):
        edgecnn.profile(colour_bundle, runtimes=("litert",))


def test_others_at_work_make_a_run_invalid() -> None:
    start = CpuClock(wall=0, own=0, busy=100, stolen=5)
    quiet = CpuClock(wall=10, own=10, busy=110.5, stolen=5)
    busy = CpuClock(wall=10, own=10, busy=120, stolen=5)
    robbed = CpuClock(wall=10, own=8, busy=108, stolen=8)
    assert Disturbance.between(start, quiet).reasons() == ()
    assert Disturbance.between(start, busy).reasons() == ("other programs used 1.0 cores",)
    assert Disturbance.between(start, robbed).reasons() == ("the hypervisor took 0.3 cores",)
    unknown = CpuClock(wall=10, own=8, busy=None, stolen=None)
    assert Disturbance.between(start, unknown).reasons() == ()


def test_memory_is_the_kernels() -> None:
    size = 40_000_000
    before = Memory.now()
    # Not from the heap, which may have as much to spare that counts already.
    with mmap(-1, size, flags=MAP_PRIVATE | MAP_ANONYMOUS) as block:
        block.write(b"1" * size)
        after = Memory.now()
    assert after.anonymous - before.anonymous >= 0.95 * size
    assert after.peak >= after.resident >= after.anonymous


def test_the_probes_are_as_exported() -> None:
    for name in ("colours", "deep"):
        assert set(probe.bundle(name).artifacts) == {"tflite", "onnx", "openvino"}
    assert all(probe.why_not(name) is None for name in runtimes.RUNTIMES)


def test_the_command_prints_json_alone_on_stdout(colour_bundle: Path) -> None:
    options = [
        "--runtime",
        "litert",
        "--threads",
        "1",
        "--runs",
        "5",
        "--seconds",
        "0",
        "--processes",
        "1",
    ]
    command = [sys.executable, "-m", "edgecnn", "profile", str(colour_bundle), *options]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    best = json.loads(done.stdout)["best"]
    assert (best["runtime"], best["threads"]) == ("litert", 1)
    table = subprocess.run(command, capture_output=True, text=True)
    assert table.returncode == 0, table.stderr
    assert "predicted" in table.stdout
    assert "fastest: litert with 1 thread" in table.stdout
