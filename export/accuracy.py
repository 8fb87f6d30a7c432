"""Comparing two classifiers on the same pictures."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float32]
"""(count, classes)"""

RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Accuracy:
    """How often the right class is first, and among the first five; fractions."""

    top1: float
    top5: float

    @classmethod
    def of(cls, probabilities: Probabilities, classes: NDArray[np.integer[Any]]) -> Self:
        """Over pictures whose class numbers (count,) are known."""
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
        hits = order == classes[:, None]
        return cls(float(hits[:, 0].mean()), float(hits.any(axis=1).mean()))


@dataclass(frozen=True)
class Comparison:
    """An artifact against the float network on pictures without labels."""

    count: int
    agreement_top1: float
    """Fraction of pictures on which both say the same class first."""
    max_abs_error: float
    mean_abs_error: float
    """Of the probabilities."""

    @classmethod
    def of(cls, reference: Probabilities, artifact: Probabilities) -> Self:
        """Both (count, classes)."""
        error = np.abs(artifact - reference)
        same = reference.argmax(axis=1) == artifact.argmax(axis=1)
        return cls(len(reference), float(same.mean()), float(error.max()), float(error.mean()))


@dataclass(frozen=True)
class Drop:
    """How much top-1 an artifact lost against the float network, in percentage points."""

    top1_drop: float
    interval: tuple[float, float]

    @classmethod
    def of(
        cls,
        reference: Probabilities,
        artifact: Probabilities,
        classes: NDArray[np.integer[Any]],
    ) -> Self:
        """With a 95% interval from a paired bootstrap over the pictures."""
        lost = (reference.argmax(axis=1) == classes).astype(np.int64)
        lost -= artifact.argmax(axis=1) == classes
        # A resample of n pictures holds a multinomial number of those that got worse, stayed
        # and got better: the same bootstrap, without drawing n indices each time.
        shares = [np.mean(lost == value) for value in (-1, 0, 1)]
        draws = np.random.default_rng(0).multinomial(len(lost), shares, RESAMPLES)
        drops = 100.0 * (draws[:, 2] - draws[:, 0]) / len(lost)
        low, high = np.quantile(drops, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return cls(float(100.0 * lost.mean()), (float(low), float(high)))
