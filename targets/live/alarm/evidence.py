"""Evidence against "all is as usual", with a false-alarm rate that is proven.

A window shows each signal in a share `x` of its frames, and while all is as usual this is at most
`bound` on average, whatever came before. Then 1 + bet × (x - bound) is 1 on average at most: a
fair bet at best. The Shiryaev-Roberts sum of such bets, each begun at every moment, grows by one a
window at most on average, so that it takes at least `limit` windows on average until it reaches
`limit`, and the probability that it does within t windows is at most t / limit (Doob). Shin,
Ramdas and Rinaldo, E-detectors: a nonparametric framework for sequential change detection, 2023.
"""

import numpy as np
from numpy.typing import NDArray

BETS = np.array([0.25, 0.5, 0.9])
"""As parts of the largest that cannot lose all; the mean of several sums is one too."""
MEMORY = 0.9
"""What a label seen counts one window later, where the label to come is bet on."""

Numbers = NDArray[np.float64]


class Shares:
    """Signals that are each in a share of frames, of which `bounds` are usual at most."""

    def __init__(self, bounds: Numbers, limit: float) -> None:
        self._bounds = bounds
        self._bets = BETS[:, None] / bounds
        self._most = limit * len(BETS)
        self._sums = np.zeros((len(BETS), len(bounds)))

    def add(self, shares: Numbers) -> Numbers:
        """The evidence for each signal, `(signals,)`, after one more window."""
        won = 1 + self._bets * (shares - self._bounds)
        # What is never counted makes no alarm more likely, and an alarm ends in finite time.
        np.minimum((self._sums + 1) * won, self._most, out=self._sums)
        found: Numbers = self._sums.mean(axis=0)
        return found

    def calm(self) -> NDArray[np.bool_]:
        """Which signals nothing speaks for any more: the boldest bet was lost."""
        return np.asarray(self._sums[-1] < 1)

    def forget(self, which: NDArray[np.bool_]) -> None:
        """Begin anew for these signals."""
        self._sums[:, which] = 0


class Labels:
    """Which label is said, where each is said in a share of pictures of `bounds` at most.

    What labels came lately is bet on; a bet pays one over the bound.
    """

    def __init__(self, bounds: Numbers, limit: float) -> None:
        self._bounds, self._most = bounds, limit
        self._prior = bounds / bounds.sum()
        self._seen = np.zeros(len(bounds))
        self._sum = 0.0

    def add(self, label: int) -> float:
        """The evidence that the mix of labels is another, after one more window."""
        chance = (self._seen[label] + self._prior[label]) / (self._seen.sum() + 1)
        won = float(chance / self._bounds[label])
        self._seen *= MEMORY
        self._seen[label] += 1
        self._sum = min((self._sum + 1) * won, self._most)
        return self._sum
