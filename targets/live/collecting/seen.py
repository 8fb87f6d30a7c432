"""What was kept already: frames are novel that are unlike it, and near-duplicates are left out."""

import numpy as np
from numpy.typing import NDArray

from edgecnn.opencv import opencv

MOST = 256
"""Frames that are remembered, the newest."""
SIDE = 16
ALIKE = 0.98
"""Cosine from which on two frames are near-duplicates."""
TINY = float(np.finfo(np.float32).tiny)
NEVER = -1.0
"""How near the first frame is to those before."""
Values = NDArray[np.float32]


class Seen:
    """The newest frames that were kept: what the network made of them, and how they look."""

    def __init__(self) -> None:
        self._made: Values | None = None
        self._looks = np.zeros((MOST, SIDE * SIDE), np.float32)
        self._count = 0

    def nearness(self, made: Values) -> float:
        """The cosine to what is most like it, of what the network made of a frame."""
        if self._made is None:
            return NEVER
        return float((self._made[: self._count] @ made).max())

    def has_alike(self, made: Values, look: Values) -> bool:
        """Whether one of them is nearly the same to the network and to the eye."""
        if self._made is None:
            return False
        both = self._made[: self._count] @ made
        both += self._looks[: min(self._count, MOST)] @ look
        return bool(both.max() >= 2 * ALIKE)

    def add(self, made: Values, look: Values) -> None:
        """Remember a frame, in the place of the oldest."""
        if self._made is None:
            self._made = np.zeros((MOST, len(made)), np.float32)
        place = self._count % MOST
        self._made[place], self._looks[place] = made, look
        self._count += 1


def direction(values: Values) -> Values:
    """The same at length 1."""
    length = max(float(np.sqrt(values @ values)), TINY)
    found: Values = values / np.float32(length)
    return found


def look(image: NDArray[np.uint8]) -> Values:
    """How a network's input, uint8 `(height, width, channels)`, looks; light is no matter."""
    cv2 = opencv()
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    grey = small.reshape(SIDE * SIDE, -1).mean(axis=1, dtype=np.float32)
    return direction(grey - grey.mean())
