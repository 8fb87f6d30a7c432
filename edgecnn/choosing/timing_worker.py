"""How long model files take in one engine, in a process of its own.

`python -m edgecnn.choosing.timing_worker '{"runtime": ..., "files": [...], ...}'`, with all the
arguments of `measure`, prints one line of JSON: the latencies, or `{"error": ...}`.
"""

import math
from pathlib import Path

import numpy as np

from edgecnn.targets.engines import runtimes
from edgecnn.targets.engines.worker import serve, timed

BURST_S = 0.05
FEWEST = 2
"""Inferences of a network that takes long for one."""


def measure(
    runtime: str, files: list[str], threads: list[int], rounds: int
) -> dict[str, list[dict[str, float]]]:
    """For each file, milliseconds of the fastest inference, by threads.

    Whatever else the machine does only ever adds to a time. A round goes through all files and
    numbers of threads and is followed by the next, so that a disturbance of seconds does not fall
    on one of them alone.
    """
    engine = runtimes.get(runtime)
    sessions = [{count: engine.open(Path(file), count) for count in threads} for file in files]
    fastest = [dict.fromkeys(map(str, threads), math.inf) for _ in files]
    for _ in range(rounds):
        for by_threads, found in zip(sessions, fastest, strict=True):
            for count, session in by_threads.items():
                image = np.zeros(session.input_shape, np.uint8)
                times = [ms for _, ms in timed(session, image, FEWEST, BURST_S)]
                found[str(count)] = min(found[str(count)], *times)
    return {"latency_ms": fastest}


if __name__ == "__main__":
    serve(measure)
