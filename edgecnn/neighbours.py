"""How near a picture is to pictures that the network knows, in the network's own features.

Sun, Ming, Zhu and Li, Out-of-Distribution Detection with Deep Nearest Neighbors, 2022. The known
ones are calibration pictures: held-out ones stay apart, so that what ranks among these promise
(`edgecnn.reliability`) stays exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgecnn.evenly import evenly

NEAREST = 3
"""Which of the nearest counts: the first may be a chance, and few may show the same thing."""
MOST = 256
"""Pictures that are kept: each is looked at for every frame."""
SMALLEST = np.finfo(np.float32).tiny

Values = NDArray[np.float32]
T = TypeVar("T")


@dataclass(frozen=True)
class Neighbours:
    """Features of known pictures."""

    rows: Values
    """`(count, features)`, each of length 1."""

    @staticmethod
    def chosen(pictures: Sequence[T]) -> Sequence[T]:
        """As many as are kept, spread over all."""
        return evenly(pictures, MOST)

    @classmethod
    def of(cls, features: Values) -> Self:
        """Of pictures' features `(count, features)`, count at least 1."""
        lengths = np.linalg.norm(features, axis=1, keepdims=True)
        rows = features / np.maximum(lengths, SMALLEST)
        # At the precision that the bundle keeps: a board finds the very same.
        return cls.read(rows.astype(np.float16), features.shape[1])

    @classmethod
    def read(cls, kept: NDArray[Any], features: int) -> Self:
        """Of what a bundle keeps; raises `ValueError` for anything but so many features a row."""
        if kept.ndim != 2 or not len(kept) or kept.shape[1] != features:
            raise ValueError(f"{kept.shape} are no neighbours with {features} features")
        return cls(kept.astype(np.float32))

    def nearness(self, features: Values) -> Values:
        """The cosine to the `NEAREST`-nearest of one picture's `(features,)`; 0 for no features."""
        # Products alone, which are in every frame's way: see `edgecnn.reliability`.
        cosines = self.rows.dot(features)
        cosines.sort()
        length = np.sqrt(features.dot(features))
        found: Values = cosines[-min(NEAREST, len(cosines))] / max(length, SMALLEST)
        return found
