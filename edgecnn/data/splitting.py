"""Dividing labelled pictures into train, val and test.

A picture's place follows from its own bytes, not from the order of the files: pictures added
later move only few of the others, equal pictures always stand in the same split, and the test
pictures of a small share are among those of a larger one. Pictures of one moment have the place
that follows from the moment.
"""

import hashlib
from dataclasses import dataclass
from typing import Self

import numpy as np

from edgecnn.data.dataset import Split
from edgecnn.errors import DataError

TRAIN, VAL, TEST = range(3)


@dataclass(frozen=True)
class Shares:
    """The share of pictures in each split; they sum to 1."""

    train: float
    val: float
    test: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `75/15/10` (any three numbers: what counts is their ratio)."""
        try:
            parts = [float(part) for part in text.split("/")]
        except ValueError:
            parts = []
        if len(parts) != 3 or min(parts) < 0 or parts[0] <= 0 or parts[1] <= 0:
            raise DataError(
                f"The split '{text}' must be three numbers for train, val and test, such as "
                "75/15/10; only test may be 0."
            )
        total = sum(parts)
        return cls(*(part / total for part in parts))

    def without_test(self) -> "Shares":
        """The first two shares of what is left where the source brings its own test split."""
        rest = self.train + self.val
        return Shares(self.train / rest, self.val / rest, 0.0)


def divide(whole: Split, shares: Shares, seed: int) -> tuple[Split, Split, Split]:
    """Train, val and test, each with every class in its share.

    A class gives a split with a share above 0 at least one picture, as far as it has different
    ones; test and val come first.
    """
    salt = str(seed).encode()
    keys = [hashlib.sha256(salt + moment).digest() for moment in whole.moments]
    place: dict[bytes, int] = {}
    for target in np.unique(whole.targets):
        members = sorted({keys[i] for i in np.flatnonzero(whole.targets == target)})
        test = _count(len(members), shares.test)
        val = test + _count(len(members), shares.val)
        for rank, key in enumerate(members):
            # What stands under two classes keeps the place the first one gave it.
            place.setdefault(key, TEST if rank < test else VAL if rank < val else TRAIN)
    places = np.array([place[key] for key in keys])
    train, val_split, test_split = (
        whole.take(np.flatnonzero(places == part)) for part in (TRAIN, VAL, TEST)
    )
    return train, val_split, test_split


def _count(pictures: int, share: float) -> int:
    return max(1, round(pictures * share)) if share > 0 else 0
