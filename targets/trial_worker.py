"""One candidate of a trial, in a process of its own.

`python -m edgecnn.targets.trial_worker '{"bundle": ..., "runtime": ..., ...}'`, with all the
arguments of `measure`, prints one line of JSON: its latency, or `{"error": ...}`.
"""

import json
import sys
import time

import numpy as np

from edgecnn.errors import EdgeCnnError
from edgecnn.targets.classifier import Classifier, load

BLACK = np.zeros((32, 32, 3), np.uint8)
WARMUP_S = 0.1
MEASURED_S = 0.3
FEWEST = 3
"""Inferences, on a board that takes long for one."""


def measure(
    bundle: str, runtime: str, threads: int, target: str, self_check: bool
) -> dict[str, float]:
    """The 90th percentile of the latency over a moment, once warm."""
    classifier = load(bundle, runtime, threads, target=target, self_check=self_check)
    _times_ms(classifier, WARMUP_S, 1)
    times = _times_ms(classifier, MEASURED_S, FEWEST)
    return {"p90_ms": float(np.percentile(times, 90, method="inverted_cdf"))}


def _times_ms(classifier: Classifier, seconds: float, fewest: int) -> list[float]:
    image = classifier.prepare(BLACK)
    times: list[float] = []
    until = time.perf_counter() + seconds
    while len(times) < fewest or time.perf_counter() < until:
        started = time.perf_counter()
        classifier.infer(image)
        times.append((time.perf_counter() - started) * 1e3)
    return times


def main() -> None:
    """Measure as the argument says."""
    result: dict[str, float | str]
    try:
        result = {**measure(**json.loads(sys.argv[1]))}
    except EdgeCnnError as error:
        result = {"error": str(error)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
