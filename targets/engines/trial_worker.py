"""One candidate of a trial, in a process of its own.

`python -m edgecnn.targets.engines.trial_worker '{"bundle": ..., "runtime": ..., ...}'`, with all
the arguments of `measure`, prints one line of JSON: its figures, or `{"error": ...}`.
"""

import statistics

from edgecnn.bundle import Bundle
from edgecnn.percentile import percentile
from edgecnn.preprocessing import FramePreparer
from edgecnn.targets.board.process_memory import Memory
from edgecnn.targets.board.target import detect
from edgecnn.targets.engines.loading import load_session
from edgecnn.targets.engines.worker import BLACK, serve, timed

WARMUP_S = 0.1
MEASURED_S = 0.3
FEWEST = 3
"""Inferences, on a board that takes long for one."""


def measure(
    bundle: str, runtime: str, threads: int, target: str, self_check: bool
) -> dict[str, float]:
    """Latency over a moment, once warm, and the most memory that was ever resident, in bytes."""
    opened, board = Bundle.load(bundle), detect(name=target)
    board.pin(threads)
    _, session = load_session(opened, board, runtime, threads, self_check=self_check)
    image = FramePreparer(opened.preprocessing)(BLACK)
    for _ in timed(session, image, 1, WARMUP_S):
        pass
    times = [ms for _, ms in timed(session, image, FEWEST, MEASURED_S)]
    return {
        "p50_ms": statistics.median(times),
        "p90_ms": percentile(times, 90),
        "peak_bytes": Memory.now().peak,
    }


if __name__ == "__main__":
    serve(measure)
