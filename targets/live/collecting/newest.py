"""What is low among the newest values."""

import numpy as np

WINDOW = 500
FEWEST = 20
RENEWED = 25
"""Values after which the bound is found anew: this is in every frame's way."""


class Lowest:
    """Tells whether a value is among the lowest `share` of the newest 500."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._values = np.empty(WINDOW, np.float32)
        self._count = 0
        self._bound = -np.inf

    def __call__(self, value: float) -> bool:
        """Take one value; of the first twenty none is low."""
        low = self._count >= FEWEST and value < self._bound
        self._values[self._count % WINDOW] = value
        self._count += 1
        if self._count == FEWEST or not self._count % RENEWED:
            newest = self._values[: self._count]
            place = int(self._share * len(newest))
            self._bound = float(np.partition(newest, place)[place])
        return low
