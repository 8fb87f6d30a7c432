"""How near an artifact's answers are to the float network's."""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgecnn.export.accuracy import Drop

Logs = NDArray[np.float64]
"""Logarithms of probabilities, (count, classes)."""


def log_softmax(logits: Logs) -> Logs:
    """Of double precision, along the classes."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


@dataclass(frozen=True)
class Scores:
    """Of one artifact on pictures that calibration did not see."""

    top1: float
    top1_drop: float
    """Points lost against float."""
    top1_drop_interval: tuple[float, float]
    agreement_top1: float
    kl: float
    """Mean divergence from float's probabilities, in nats."""
    kl_per_picture: tuple[float, ...]
    sqnr_db: float
    """Of the logits about their mean over the classes, which no softmax sees."""

    @classmethod
    def of(cls, expected: Logs, found: Logs, truths: NDArray[np.int64]) -> Self:
        """`truths` (count,) are class numbers."""
        drop = Drop.of(expected.astype(np.float32), found.astype(np.float32), truths)
        first = found.argmax(axis=1)
        divergence = (np.exp(expected) * (expected - found)).sum(axis=1)
        wanted, given = (x - x.mean(axis=1, keepdims=True) for x in (expected, found))
        noise = ((given - wanted) ** 2).sum()
        return cls(
            float((first == truths).mean()),
            drop.top1_drop,
            drop.interval,
            float((first == expected.argmax(axis=1)).mean()),
            float(divergence.mean()),
            tuple(float(value) for value in divergence),
            float(10 * np.log10((wanted**2).sum() / noise)),
        )

    def to_json(self) -> dict[str, Any]:
        """By name."""
        return asdict(self)
