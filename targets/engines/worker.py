"""What the processes that are measured have in common: being asked, timing, answering."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.errors import EdgeCnnError
from edgecnn.targets.engines.session import Session

BLACK = np.zeros((32, 32, 3), np.uint8)
"""A frame to prepare: what it shows makes no difference to the time."""


def timed(
    session: Session, image: NDArray[np.uint8], runs: int, seconds: float
) -> Iterator[tuple[float, float]]:
    """Start on `time.perf_counter` and milliseconds of at least `runs` inferences and `seconds`."""
    count, until = 0, time.perf_counter() + seconds
    while count < runs or time.perf_counter() < until:
        started = time.perf_counter()
        session.infer(image)
        yield started, since_ms(started)
        count += 1


def since_ms(started: float) -> float:
    """Milliseconds since a moment on `time.perf_counter`."""
    return (time.perf_counter() - started) * 1e3


def serve(measure: Callable[..., Mapping[str, Any]]) -> None:
    """Measure as the command line's JSON says; print the figures, or `{"error": ...}`, as JSON."""
    result: Mapping[str, Any]
    try:
        result = measure(**json.loads(sys.argv[1]))
    except EdgeCnnError as error:
        result = {"error": str(error)}
    print(json.dumps(result))
