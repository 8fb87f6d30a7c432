"""Model files of one engine against each other, in rounds that take turns."""

import time
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from benchmarks.engines import ENGINES, Opened

THREADS = (1, 2)
BURST_S = 0.05
LEAST = 5
"""Calls in a burst, however slow."""


def latencies(
    runtime: str, files: list[tuple[Path, NDArray[Any]]], rounds: int
) -> list[dict[str, list[float]]]:
    """Milliseconds of each file with a picture it takes: by threads, a median for each round.

    In one process, so that what disturbs one disturbs the others; in each round another begins.
    """
    found: list[dict[str, list[float]]] = [{} for _ in files]
    for threads in THREADS:
        engines = [ENGINES[runtime](model, threads) for model, _ in files]
        for engine, (_, picture) in zip(engines, files, strict=True):
            engine.show(picture)
            _burst(engine)
        for turn in range(rounds):
            order = [(turn + i) % len(files) for i in range(len(files))]
            for i in order:
                found[i].setdefault(str(threads), []).append(_burst(engines[i]))
    return found


def _burst(engine: Opened) -> float:
    times: list[float] = []
    stop = time.perf_counter() + BURST_S
    while time.perf_counter() < stop or len(times) < LEAST:
        started = time.perf_counter()
        engine.invoke()
        times.append((time.perf_counter() - started) * 1e3)
    return min(times)
