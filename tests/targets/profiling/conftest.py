"""Runs of a profile, made up for reports to draw."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from edgecnn.targets.board.telemetry import Telemetry
from edgecnn.targets.profiling.disturbance import Disturbance
from edgecnn.targets.profiling.profile import (
    Distribution,
    EndToEnd,
    Intervals,
    MemoryBytes,
    ProfileRun,
)
from edgecnn.targets.profiling.timeline import Moment


def _profile_run(samples: tuple[float, ...] = (2.0, 2.5, 3.0), **changed: Any) -> ProfileRun:
    made = ProfileRun(
        runtime="litert",
        engine="ai-edge-litert 2.3.0",
        precision="int8",
        threads=2,
        count=len(samples),
        latency_ms=Distribution.of(samples),
        latency_interval_ms=Intervals.of([samples]),
        samples_ms=samples,
        process_counts=(len(samples),),
        warmup_count=20,
        cpu_ms=4.0,
        end_to_end_ms=EndToEnd(0.1, 0.1, 2.5, 0.1, 2.8, 3.4),
        load_ms=20.0,
        first_inference_ms=3.0,
        memory_bytes=MemoryBytes(60_000_000, 80_000_000, 90_000_000, 95_000_000, None),
        artifact_bytes=5_000_000,
        thermal={"before": {"temperature_c": 41.0, "governor": None}, "after": {}},
        moments=(Moment(0, len(samples), 2.5, 3.0, Telemetry(41.0), Disturbance(None, None)),),
        valid=True,
        invalid_reasons=(),
    )
    return replace(made, **changed)


@pytest.fixture(scope="session")
def profile_run() -> Callable[..., ProfileRun]:
    """One of these latencies in milliseconds; keywords replace other fields."""
    return _profile_run
