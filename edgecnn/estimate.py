"""How often a network is right on all frames that a camera showed, from the few that were labelled.

Frames that were kept because they are hard say nothing about the others. Those of the random
stream do: of each is known how probable it was to be kept (`inclusion`), and a frame that was kept
with 1 in 1000 stands for 1000 (Horvitz and Thompson, A Generalization of Sampling Without
Replacement from a Finite Universe, 1952; as a ratio, Hájek, 1971).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgecnn import binomial

Bools = Sequence[bool] | NDArray[np.bool_]
Floats = Sequence[float] | NDArray[np.floating[Any]]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Estimate:
    """A share of all frames, or the difference of two, and where it lies with 95% confidence."""

    value: float
    low: float
    high: float
    count: int
    """Labelled frames that it rests on."""
    effective: float
    """How many of equal weight would tell as much: at most `count`."""

    @property
    def interval(self) -> tuple[float, float]:
        """Where it lies."""
        return self.low, self.high


def share(right: Bools, inclusion: Floats) -> Estimate:
    """The share of all frames of which `right` is true, from at least one of the random stream.

    The interval is that of Clopper and Pearson for the effective number of frames (Korn and
    Graubard, Confidence Intervals for Proportions with Small Expected Number of Positive Counts
    Estimated from Survey Data, 1998): it also holds where hardly any answer is wrong. Raises
    `ValueError` where there is no frame, or an inclusion that is no probability.
    """
    weights, hits = _weights(inclusion), np.asarray(right, bool)
    value = min(1.0, float(weights @ hits))
    effective = _effective(weights, hits - value)
    some, found = max(1, math.floor(effective + 1e-9)), value * effective
    # Whole numbers, to the safe side.
    fewest, most = math.floor(found + 1e-9), min(some, math.ceil(found - 1e-9))
    return Estimate(
        value,
        binomial.interval(min(fewest, some), some)[0],
        binomial.interval(most, some)[1],
        len(hits),
        effective,
    )


def difference(old: Bools, new: Bools, inclusion: Floats) -> Estimate:
    """How much more often `new` is right than `old`, on the same frames of the random stream.

    From -1 to 1. Newcombe's interval for paired proportions (Improved Confidence Intervals for the
    Difference Between Binomial Proportions Based on Paired Data, 1998, method 10), for the
    effective number of frames. Raises what `share` raises.
    """
    weights = _weights(inclusion)
    before, after = np.asarray(old, bool), np.asarray(new, bool)
    p, q = float(weights @ before), float(weights @ after)
    gained = after.astype(int) - before
    effective = min(_effective(weights, one) for one in (before - p, after - q, gained - (q - p)))
    both, neither = float(weights @ (before & after)), float(weights @ ~(before | after))
    alike = _correlation(both, q - both, p - both, neither, effective)
    (p_low, p_high), (q_low, q_high) = (binomial.wilson(share, effective) for share in (p, q))
    value = q - p
    below = _aside(q - q_low, p_high - p, alike)
    above = _aside(q_high - q, p - p_low, alike)
    return Estimate(value, value - below, value + above, len(before), effective)


def known_in_order(stream: Iterable[tuple[str, Item | None]]) -> list[Item]:
    """What is known of the random stream's frames that may be used while not all are labelled.

    `stream` gives each frame's hash and what is known of it, None where it is not labelled yet.
    In the order of the hashes, which what a frame shows has no part in, those before the first
    unlabelled one: whoever labels the easy ones first, or those that look alike, does not move
    the estimate.
    """
    found: list[Item] = []
    for _, known in sorted(stream, key=lambda one: one[0]):
        if known is None:
            break
        found.append(known)
    return found


def _weights(inclusion: Floats) -> NDArray[np.float64]:
    """Each frame's share of all."""
    probabilities = np.asarray(inclusion, float)
    if not len(probabilities) or not ((probabilities > 0) & (probabilities <= 1)).all():
        raise ValueError("An estimate rests on frames that were kept with a known probability.")
    weights = 1 / probabilities
    return np.asarray(weights / weights.sum())


def _effective(weights: NDArray[np.float64], apart: NDArray[np.floating[Any]]) -> float:
    """How many frames of equal weight tell as much.

    By the weights alone (Kish, 1965), or fewer where those with much weight are also `apart` from
    the estimate: the variance of a ratio, linearised.
    """
    alone = float(1 / (weights @ weights))
    spread = apart * apart
    each = float((weights * weights) @ spread)
    return min(alone, float(weights @ spread) / each) if each > 0 else alone


def _correlation(both: float, gained: float, lost: float, neither: float, count: float) -> float:
    """Phi of the four shares, with Newcombe's correction where two answers are alike."""
    product = (both + gained) * (both + lost) * (neither + gained) * (neither + lost)
    if product <= 1e-12:
        return 0.0
    excess = both * neither - gained * lost
    if excess > 0:
        excess = max(0.0, excess - 0.5 / count)
    return excess / math.sqrt(product)


def _aside(one: float, other: float, alike: float) -> float:
    return math.sqrt(max(0.0, one * one - 2 * alike * one * other + other * other))
