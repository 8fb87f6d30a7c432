"""Probabilities over time instead of for one frame."""

import math
from collections import deque
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgecnn.errors import EdgeCnnError
from edgecnn.head import SOFTMAX, Head

Probabilities = NDArray[np.float32]
MOST_FRAMES = 10_000
"""Votes that are counted anew for every frame."""


class Smoothing(Protocol):
    """Takes the probabilities of one frame after the other, gives smoothed ones."""

    def __call__(self, probabilities: Probabilities, clock: float) -> Probabilities:
        """`probabilities` is `(outputs,)`, `clock` the frame's time in seconds.

        The result is non-negative, sums to one where its input does, and is the smoother's own.
        """
        ...


class Exponential:
    """An average in which a frame's weight falls to 1/e after `time_constant_s`.

    In seconds and not in frames, so that a decision takes as long on a slow board, after dropped
    frames, and under a rate limit.
    """

    def __init__(self, time_constant_s: float) -> None:
        self._time_constant_s = time_constant_s
        self._mean: Probabilities | None = None
        self._clock = 0.0

    def __call__(self, probabilities: Probabilities, clock: float) -> Probabilities:
        """The average up to now; the first frame counts whole."""
        if self._mean is None:
            self._mean = probabilities.copy()
        else:
            passed = max(0.0, clock - self._clock)
            self._mean *= (kept := math.exp(-passed / self._time_constant_s))
            self._mean += (1 - kept) * probabilities
        self._clock = clock
        return self._mean


class Majority:
    """The share of votes each class has among the last `frames` frames."""

    def __init__(self, frames: int) -> None:
        self._votes: deque[int | None] = deque(maxlen=frames)
        self._shares: Probabilities | None = None

    def __call__(self, probabilities: Probabilities, clock: float) -> Probabilities:  # noqa: ARG002
        """The shares up to now."""
        self._votes.append(int(probabilities.argmax()) if probabilities.any() else None)
        if self._shares is None:
            self._shares = np.zeros_like(probabilities)
        self._shares[:] = 0
        for vote in self._votes:
            if vote is not None:
                self._shares[vote] += 1
        self._shares /= len(self._votes)
        return self._shares


class MajorityOfEach:
    """The share of the last `frames` frames in which each output reached its threshold."""

    def __init__(self, frames: int, head: Head) -> None:
        self._head = head
        self._votes: deque[NDArray[np.bool_]] = deque(maxlen=frames)

    def __call__(self, probabilities: Probabilities, clock: float) -> Probabilities:  # noqa: ARG002
        """The shares up to now."""
        self._votes.append(self._head.holds(probabilities))
        return np.asarray(np.mean(self._votes, axis=0), np.float32)


class AsItIs:
    """No smoothing."""

    def __call__(self, probabilities: Probabilities, clock: float) -> Probabilities:  # noqa: ARG002
        """The frame's own probabilities."""
        return probabilities


def smoothing(text: str | None, head: Head = SOFTMAX) -> Smoothing:
    """`exponential:SECONDS` or `majority:FRAMES`; none for None. Else `EdgeCnnError`."""
    if text is None:
        return AsItIs()
    kind, _, amount = text.partition(":")
    try:
        if kind == "exponential" and 0 < float(amount) < math.inf:
            return Exponential(float(amount))
        if kind == "majority" and 0 < int(amount) <= MOST_FRAMES:
            frames = int(amount)
            return Majority(frames) if head.kind == "softmax" else MajorityOfEach(frames, head)
    except ValueError:
        pass  # answered below, as for an unknown kind
    raise EdgeCnnError(
        f"--smooth {text}: it is exponential:SECONDS, as in exponential:0.5, or majority:FRAMES, "
        f"as in majority:15, of no more than {MOST_FRAMES}."
    )
