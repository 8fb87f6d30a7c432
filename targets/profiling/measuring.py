"""A profile's run in a process of its own, watched from outside."""

from pathlib import Path
from typing import Any

from edgecnn.targets.board.target import detect
from edgecnn.targets.engines.child import answer, start
from edgecnn.targets.profiling.observer import Observer
from edgecnn.targets.profiling.timeline import moments

WORKER = "edgecnn.targets.profiling.profile_worker"
START_S, SLOWEST_S = 600.0, 60.0
"""An engine that takes longer to be ready, or for an inference, hangs."""


def measure(
    bundle: Path,
    runtime: str,
    threads: int,
    *,
    runs: int,
    seconds: float,
    target: str,
    per_layer: bool = False,
    loadgen: Path | None = None,
) -> dict[str, Any]:
    """Run `edgecnn.targets.profiling.profile_worker` and return its figures.

    `moments` among them are the seconds of the run, with what the machine was like. Raises what
    `answer` raises.
    """
    arguments = {
        "bundle": str(bundle),
        "runtime": runtime,
        "threads": threads,
        "runs": runs,
        "seconds": seconds,
        "target": target,
        "per_layer": per_layer,
        "loadgen": str(loadgen) if loadgen else None,
    }
    worker = start(WORKER, arguments)
    with Observer(detect(name=target), worker.pid) as observer:
        found = answer(worker, f"{runtime} with {bundle}", START_S + seconds + runs * SLOWEST_S)
    times = moments(found["seconds"], found["samples_ms"], found["started_at"], observer.readings)
    return found | {"moments": times}
