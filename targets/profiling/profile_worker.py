"""The process that is measured: one engine, one number of threads, nothing else.

`python -m edgecnn.targets.profiling.profile_worker '{"bundle": ..., "runtime": ..., ...}'`, with
all the arguments of `measure`, prints one line of JSON: the measurement, or `{"error": ...}`. What
is imported here is what a live classifier imports, so that its memory is that of `edgecnn run`.
"""

import statistics
import struct
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.bundle import Bundle
from edgecnn.errors import RuntimeUnavailable
from edgecnn.opencv import opencv
from edgecnn.targets.board.emulation import emulation
from edgecnn.targets.board.process_memory import Memory
from edgecnn.targets.board.target import detect
from edgecnn.targets.classifier import Classifier
from edgecnn.targets.engines import runtimes
from edgecnn.targets.engines.session import Runtime, Session
from edgecnn.targets.engines.worker import BLACK, serve, since_ms, timed
from edgecnn.targets.live.loop import answers
from edgecnn.targets.live.sources.synthetic import Synthetic
from edgecnn.targets.profiling.disturbance import CpuClock, Disturbance
from edgecnn.targets.profiling.loadgen import single_stream

WINDOW = 10
STABLE = 0.02
WARMUP_LIMIT_S = 5.0
SAMPLE = struct.Struct("=dd")


def measure(
    bundle: str,
    runtime: str,
    threads: int,
    runs: int,
    seconds: float,
    target: str,
    per_layer: bool,
    loadgen: str | None,
) -> dict[str, Any]:
    """Load, run and read the clocks and the kernel's memory figures at each step."""
    board = detect(name=target)
    board.pin(threads)
    opened = Bundle.load(bundle)
    engine = runtimes.get(runtime)
    model = opened.model_file(engine.format)
    opencv()
    before_load = Memory.now()
    started = time.perf_counter()
    session = engine.open(model, threads)
    load_ms = since_ms(started)
    after_load = Memory.now()

    classifier = Classifier(opened, runtime, session)
    image = classifier.prepare(BLACK)
    started = time.perf_counter()
    session.infer(image)
    first_inference_ms = since_ms(started)
    after_first = Memory.now()

    warmup_count = _warm_up(session, image)
    thermal_before = board.telemetry()
    clock = CpuClock.now(board.machine)
    with tempfile.TemporaryFile() as file:
        # In a file: kept in memory, the samples of ten minutes would count as the network's.
        for start, ms in timed(session, image, runs, seconds):
            file.write(SAMPLE.pack(start, ms))
        end = CpuClock.now(board.machine)
        thermal_after = board.telemetry()
        final = Memory.now()
        file.seek(0)
        starts, samples = np.fromfile(file).reshape(-1, 2).T
    # Opened only now: the memory above is the network's alone.
    latencies = [p.latency_ms for p, _ in answers(Synthetic(), classifier, frames=max(runs, 20))]
    reasons = thermal_after.held_back_since(thermal_before)
    if emulator := emulation(board.machine):
        reasons += (emulator,)
    return {
        "runtime": runtime,
        "engine": session.engine,
        "precision": opened.precision,
        "threads": threads,
        "samples_ms": samples.round(6).tolist(),  # the clock counts nanoseconds
        "started_at": float(starts[0]),
        "seconds": _seconds(starts),
        "warmup_count": warmup_count,
        "cpu_ms": (end.own - clock.own) * 1e3 / len(samples),
        "end_to_end_ms": {
            part: [getattr(latency, part) for latency in latencies]
            for part in ("capture", "preprocess", "inference", "postprocess", "total")
        },
        "load_ms": load_ms,
        "first_inference_ms": first_inference_ms,
        "memory": {
            "before_load": before_load.to_json(),
            "after_load": after_load.to_json(),
            "after_first_inference": after_first.to_json(),
            "final": final.to_json(),
        },
        "thermal": {"before": thermal_before.to_json(), "after": thermal_after.to_json()},
        "disturbance": asdict(Disturbance.between(clock, end)),
        "invalid_reasons": reasons,
        "loadgen": asdict(
            single_stream(
                session,
                image,
                Path(loadgen),
                queries=runs,
                seconds=seconds,
                expected_ms=float(np.median(samples)),
            )
        )
        if loadgen
        else None,
        # Last of all: these open the model a second time.
        "executed_ops": engine.executed(model),
        **(_layers(engine, model, threads, classifier.prepare(BLACK)) if per_layer else {}),
    }


def _layers(engine: Runtime, model: Path, threads: int, image: Any) -> dict[str, Any]:
    try:
        return {"layers": [asdict(layer) for layer in engine.time_layers(model, threads, image)]}
    except RuntimeUnavailable as error:
        return {"no_layers_reason": str(error)}


def _warm_up(session: Session, image: Any) -> int:
    """Run until the median of ten stays within 2% of the ten before; returns how many runs."""
    count, previous = 0, float("inf")
    deadline = time.perf_counter() + WARMUP_LIMIT_S
    while True:
        median = statistics.median(ms for _, ms in timed(session, image, WINDOW, 0))
        count += WINDOW
        if abs(median / previous - 1) < STABLE or time.perf_counter() > deadline:
            return count
        previous = median


def _seconds(starts: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Each second of the run in which inferences began, and how many."""
    seconds, counts = np.unique((starts - starts[0]).astype(int), return_counts=True)
    return list(zip(seconds.tolist(), counts.tolist(), strict=True))


if __name__ == "__main__":
    serve(measure)
