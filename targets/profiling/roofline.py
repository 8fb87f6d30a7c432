"""What a processor could do at best, measured: the two ceilings of a roofline.

An operator does a number of multiply-accumulates for each byte it moves. With few, the memory is
what holds it back; with many, the multipliers (Williams, Waterman and Patterson, Roofline, 2009).
"""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecnn.memory import ELEMENT_BYTES
from edgecnn.targets.board.target import Target
from edgecnn.targets.engines import probe
from edgecnn.targets.profiling.measuring import measure

RUNS = 100
SECONDS = 0.5
COPY_BYTES = 64 * 2**20
"""More than caches hold; less on a board with little memory."""
COPIES = 10


@dataclass(frozen=True)
class Roofline:
    """The ceilings for one engine with one number of threads."""

    int8_gmacs_per_s: float
    """The `peak` probe's fastest inference in that engine."""
    memory_gbytes_per_s: float
    """Read and written by the fastest copy of a large array with as many threads."""

    def attainable(self, macs_per_byte: float) -> float:
        """The most GMAC/s for an operator that moves all its bytes to and from memory."""
        return min(self.int8_gmacs_per_s, self.memory_gbytes_per_s * macs_per_byte)


def measure_roofline(runtime: str, threads: int, board: Target) -> Roofline:
    """Measure both, in about two seconds. Raises what `measure` raises."""
    bundle = probe.bundle("peak")
    found = measure(bundle.path, runtime, threads, runs=RUNS, seconds=SECONDS, target=board.name)
    macs = bundle.manifest["ram_analysis"]["macs"]
    return Roofline(
        int8_gmacs_per_s=macs / min(found["samples_ms"]) / 1e6,
        memory_gbytes_per_s=copy_bytes_per_s(
            threads, min(COPY_BYTES, (board.ram_bytes or COPY_BYTES) // 16)
        )
        / 1e9,
    )


def copy_bytes_per_s(threads: int, size: int = COPY_BYTES) -> float:
    """Bytes read and written in a second by the fastest of several copies of `size` bytes."""
    sources = np.array_split(np.ones(size, np.uint8), threads)
    targets = np.array_split(np.ones(size, np.uint8), threads)
    seconds = []
    with ThreadPoolExecutor(threads) as pool:  # numpy copies without Python's lock
        for _ in range(COPIES):
            started = time.perf_counter()
            list(pool.map(np.copyto, targets, sources))
            seconds.append(time.perf_counter() - started)
    return 2 * size / min(seconds)


def moved_bytes(layer: Mapping[str, Any], precision: str) -> int:
    """What a layer of a RAM analysis (its JSON, with `input_bytes`) reads and writes at least."""
    weights: int = layer["parameters"] * ELEMENT_BYTES[precision]
    return int(layer["input_bytes"]) + weights + int(layer["output_bytes"])
