"""The one percentile: the nearest rank."""

import math
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray


def percentile(values: Collection[float] | NDArray[np.float64], percent: float) -> float:
    """The smallest of at least one value that `percent` (0 to 100] of them are not above."""
    found = np.asarray(values, float)
    rank = max(0, math.ceil(percent * len(found) / 100) - 1)
    return float(np.partition(found, rank)[rank])
