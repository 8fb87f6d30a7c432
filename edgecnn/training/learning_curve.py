"""Whether more labels would help: accuracy by the number of new labels, and where it leads.

The features of the network that training went on from stay as they are, and only a classifier on
them is fitted anew: to all pictures that network knew, and to nested parts of the new ones. That
takes seconds, and none of the features has seen a label of the new pictures. Errors fall as a
power of the number of labels (Hestness et al., Deep Learning Scaling is Predictable, Empirically,
2017; with a floor and without: Viering and Loog, The Shape of Learning Curves, 2021).

The interval is that of repeating all of it with other pictures: held-out ones drawn with
replacement, new ones in another order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Features = tuple[Floats, NDArray[np.int64]]
"""Of pictures `(count, features)`, and the class of each."""
SHARES = (0.125, 0.25, 0.5, 0.75, 1.0)
"""Of the new pictures: the nested parts."""
ORDERS = 8
REPEATS = 400
DRAWS = 2
"""Orders that a repeat is of."""
LAWS = ((True, 0.0), (False, 0.0), (True, 1.0), (False, 1.0))
"""With a floor, and with an offset: pictures that were known already count for some new ones."""
EXPONENTS = np.linspace(0.1, 1.0, 10)
FEWEST, FEWEST_HELD_OUT = 40, 30
"""New pictures below which nothing is said."""
MOST_LABELS = 200
"""More, or more than there are, nothing is said of."""
MOST_COMPONENTS = 96
RIDGE = 1.0


@dataclass(frozen=True)
class Curve:
    """Accuracy on held-out new pictures by the number of new labels."""

    labels: tuple[int, ...]
    top1: tuple[float, ...]
    """Means over orders of the pictures."""
    more: int
    """So many more labels,"""
    gain: float
    """would bring about so many percentage points,"""
    interval: tuple[float, float]
    """with 95% confidence between these."""
    held_out: int

    def to_json(self) -> dict[str, Any]:
        """As in `checkpoint.json`."""
        return vars(self) | {
            "labels": list(self.labels),
            "top1": [round(one, 4) for one in self.top1],
            "interval": list(self.interval),
        }


def learning_curve(
    known: Features,
    new: Features,
    held_out: Features,
    moments: Sequence[bytes],
    *,
    more: int | None = None,
    seed: int = 0,
) -> Curve | None:
    """The curve of features `(count, features)` with classes `(count,)`; None from too few.

    `moments` says which of the new pictures are of one moment: they come together. `more` is by
    default as many labels as there are, but no more than `MOST_LABELS`: further than twice as far
    nothing is known.
    """
    count = len(new[1])
    if count < FEWEST or len(held_out[1]) < FEWEST_HELD_OUT:
        return None
    more = min(MOST_LABELS, count) if more is None else more
    rng = np.random.default_rng(seed)
    sizes = np.unique([round(count * share) for share in SHARES])
    if not len(known[1]):
        known = new[0][:0], new[1][:0]
    project = components(np.concatenate([known[0], new[0]]))
    old_x, new_x, test_x = (project(part[0]) for part in (known, new, held_out))
    right = np.empty((ORDERS, len(sizes), len(test_x)), bool)
    for order in range(ORDERS):
        chosen = _by_moments(moments, rng)
        for place, size in enumerate(sizes):
            part = chosen[:size]
            x = np.concatenate([old_x, new_x[part]])
            y = np.concatenate([known[1], new[1][part]])
            right[order, place] = fitted_classifier(x, y)(test_x) == held_out[1]
    errors = 1 - np.stack([_resampled(right, rng) for _ in range(REPEATS)])
    # How the curve goes on cannot be told from so short a part of it: each law says it for some.
    of_each = [
        _gains(sizes, part, more, floor=floor, offset=offset)
        for (floor, offset), part in zip(LAWS, np.array_split(errors, len(LAWS)), strict=True)
    ]
    # And other labels than those to come would bring more or less.
    luck = (
        0.5
        * np.std(right[:, sizes.searchsorted(count / 2)].mean(axis=1))
        * np.sqrt(more / (count + more))
    )
    gains = np.concatenate(of_each) + luck * rng.standard_normal(REPEATS)
    low, high = 100 * np.percentile(gains, [2.5, 97.5])
    mean = 1 - right.mean(axis=(0, 2))
    said = [_gains(sizes, mean[None], more, floor=f, offset=o)[0] for f, o in LAWS]
    gain = 100 * float(np.mean(said))
    return Curve(
        tuple(sizes.tolist()),
        tuple((1 - mean).tolist()),
        more,
        gain,
        (float(min(low, gain)), float(max(high, gain))),
        len(test_x),
    )


def _by_moments(moments: Sequence[bytes], rng: np.random.Generator) -> NDArray[np.int64]:
    """An order of the pictures in which those of one moment follow each other."""
    keys = {moment: rng.random() for moment in dict.fromkeys(moments)}
    return np.argsort([keys[moment] for moment in moments], kind="stable")


def _resampled(right: NDArray[np.bool_], rng: np.random.Generator) -> Floats:
    """Accuracies by size, of other held-out pictures and other orders."""
    orders, _, count = right.shape
    # One order is one draw of the pictures: what differs between them is noise of the curve.
    some = right[rng.integers(0, orders, DRAWS)]
    return np.asarray(some[:, :, rng.integers(0, count, count)].mean(axis=(0, 2)))


def _gains(
    sizes: NDArray[np.int64], errors: Floats, more: int, *, floor: bool, offset: float
) -> Floats:
    """By how much errors `(curves, sizes)` fall with `more` labels than the last size, `(curves,)`.

    By the power law that fits best: error = a + b * (labels + d) ** -c with b >= 0, and with a >= 0
    where it has a `floor`, else 0; d is `offset` times the last size.
    """
    count = sizes[-1]
    there = sizes + offset * count
    best, gains = np.full(len(errors), np.inf), np.zeros(len(errors))
    mean = errors.mean(axis=1)
    for exponent in EXPONENTS:
        x = there**-exponent
        b = errors @ x / (x @ x)
        a = np.zeros(len(errors))
        if floor:
            apart = x - x.mean()
            slope = np.maximum(0, errors @ apart / (apart @ x))
            level = mean - slope * x.mean()
            a, b = np.where(level >= 0, level, 0), np.where(level >= 0, slope, b)
        residual = np.sum((errors - a[:, None] - np.outer(b, x)) ** 2, axis=1)
        better = residual < best
        best = np.where(better, residual, best)
        drop = there[-1] ** -exponent - (there[-1] + more) ** -exponent
        gains = np.where(better, b * drop, gains)
    return gains


def components(features: Floats) -> Any:
    """Projects features on the directions in which these differ most, alike in spread."""
    mean = features.mean(axis=0)
    _, spread, directions = np.linalg.svd(features - mean, full_matrices=False)
    kept = min(MOST_COMPONENTS, int(np.sum(spread > 1e-6 * spread[0])))
    scale = spread[0] / np.sqrt(len(features))
    return lambda some: (some - mean) @ directions[:kept].T / scale


def fitted_classifier(x: Floats, y: NDArray[np.int64]) -> Any:
    """A linear discriminant with shrunk covariance: says the class of features."""
    there = np.unique(y)
    means = np.stack([x[y == one].mean(axis=0) for one in there])
    within = x - means[np.searchsorted(there, y)]
    covariance = within.T @ within / len(x)
    covariance += (RIDGE / len(x) + 1e-3) * np.eye(x.shape[1]) * np.trace(covariance)
    weights = np.linalg.solve(covariance, means.T)
    bias = -0.5 * np.sum(means.T * weights, axis=0)
    return lambda some: there[np.argmax(some @ weights + bias, axis=1)]
