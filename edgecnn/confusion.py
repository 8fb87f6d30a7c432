"""What is taken for what."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Confusion:
    """How often each answer (column) was given for each truth (row)."""

    counts: NDArray[np.int64]
    names: tuple[str, ...]
    """Of its rows and columns."""

    @classmethod
    def of(cls, classes: NDArray[Any], said: NDArray[Any], names: Sequence[str]) -> Self:
        """Of class numbers (count,)."""
        counts = np.zeros((len(names), len(names)), np.int64)
        np.add.at(counts, (classes, said), 1)
        return cls(counts, tuple(names))

    def most(self, count: int) -> list[tuple[str, str, int]]:
        """The most frequent mistakes: the truth, the answer, and how often."""
        wrong = self.counts * (1 - np.eye(len(self.names), dtype=np.int64))
        order = np.argsort(-wrong, axis=None, kind="stable")[:count]
        found = [divmod(int(place), len(self.names)) for place in order]
        return [(self.names[t], self.names[a], int(wrong[t, a])) for t, a in found if wrong[t, a]]
