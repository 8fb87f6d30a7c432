"""Statements about shares, from counts: without tables, and without scipy on a board.

All are exact but `wilson`'s.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
STEPS = 60
"""Halvings of [0, 1]: as far as float64 goes."""
Z95 = 1.959964
"""Quantile of the normal distribution for a 95% interval."""


def interval(hits: int, count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Where a share lies of which `hits` of `count` were seen; holds for every share.

    Clopper and Pearson, The use of confidence or fiducial limits, 1934.
    """
    tail = (1 - confidence) / 2
    low = beta_quantile(hits, count - hits + 1, tail) if hits else 0.0
    return low, upper_bound(hits, count, tail)


def wilson(share: float, count: float) -> tuple[float, float]:
    """Where a share lies, with 95% on average over all shares, that was seen of `count`.

    Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927.
    """
    weight = Z95**2 / count
    centre = (share + weight / 2) / (1 + weight)
    half = Z95 / (1 + weight) * math.sqrt(share * (1 - share) / count + weight / (4 * count))
    # In exact arithmetic the interval always holds the share itself.
    return min(share, centre - half), max(share, centre + half)


def upper_bound(hits: int, count: int, error: float) -> float:
    """What a share is at most, which is wrong with a probability of at most `error`."""
    return beta_quantile(hits + 1, count - hits, 1 - error) if hits < count else 1.0


def sign_test(ups: int, downs: int) -> float:
    """How probable so uneven a split, or one more so, is where ups and downs are alike probable."""
    return min(1.0, 2 * _at_least(max(ups, downs), ups + downs, 0.5)) if ups != downs else 1.0


def beta_quantile(a: int, b: int, share: float) -> float:
    """Below which a Beta(a, b) variable lies with that probability; whole a and b, at least 1."""
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        # The a-th smallest of a + b - 1 uniform values is below x where at least a of them are.
        if _at_least(a, a + b - 1, middle) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _at_least(hits: int, count: int, share: float) -> float:
    """P(Binomial(count, share) >= hits), for 0 < share < 1."""
    some = np.arange(hits, count + 1)
    logs = _log_choose(count)[hits:] + some * np.log(share) + (count - some) * np.log1p(-share)
    return float(np.exp(logs).sum())


@lru_cache(maxsize=16)
def _log_choose(count: int) -> NDArray[np.float64]:
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
    found: NDArray[np.float64] = logs[-1] - logs - logs[::-1]
    return found
