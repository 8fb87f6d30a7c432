"""Percentiles of a few values in the live loop, in plain Python."""

import math
from collections.abc import Iterable


def nearest_rank(values: Iterable[float], share: float) -> float:
    """The smallest of the values, at least one, that this share of them (0 to 1] is not above."""
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered)) - 1]
