"""A picture that stands still, and a fixed camera that was moved: seen without statistics."""

import numpy as np
from numpy.typing import NDArray

from edgecnn.opencv import opencv

SIDE = 64
FROZEN = 20
"""Samples in a row that are equal to the last bit: a sensor's noise does not allow two."""
STEADY = 10
"""Windows in which a camera showed the same view, before it counts as fixed."""
MOVED = 3
"""Windows in which a fixed camera shows another, before it counts as moved."""
LIKE, UNLIKE = 0.5, 0.1
"""Response of the phase correlation, 1 for the same picture: a view is the same, or another."""
STILL, SHIFTED = 1.0, 3.0
"""Likewise how far it is shifted, in pixels of `SIDE`."""


class View:
    """Follows thumbnails of what the camera shows."""

    def __init__(self) -> None:
        self._last: NDArray[np.uint8] | None = None
        self._equal = 0
        self._sum = np.zeros((SIDE, SIDE), np.float32)
        self._samples = 0
        self._usual: NDArray[np.float32] | None = None
        self._window = opencv().createHanningWindow((SIDE, SIDE), opencv().CV_32F)
        self._steady = self._elsewhere = 0

    def add(self, image: NDArray[np.uint8]) -> None:
        """Take a sample, uint8 `(height, width, channels)`."""
        cv2 = opencv()
        same = self._last is not None and np.array_equal(image, self._last)
        self._equal = self._equal + 1 if same else 0
        self._last = image.copy()
        # The mean of the channels, at a thirtieth of what numpy takes along so short an axis.
        alike = np.full((1, image.shape[2]), 1 / image.shape[2], np.float32)
        grey = cv2.transform(image.astype(np.float32), alike)
        self._sum += cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        self._samples += 1

    @property
    def frozen(self) -> bool:
        """Whether the picture stands still."""
        return self._equal >= FROZEN

    def moved(self) -> bool:
        """Whether a fixed camera shows another part of the world, at the end of a window."""
        if not self._samples:
            return self._elsewhere >= MOVED
        seen = self._sum / np.float32(self._samples)
        self._sum[:] = 0
        self._samples = 0
        if self._usual is None:
            self._usual = seen
            return False
        (x, y), response = opencv().phaseCorrelate(self._usual, seen, self._window)
        shift = max(abs(x), abs(y))
        if response >= LIKE and shift <= STILL:
            self._steady, self._elsewhere = self._steady + 1, 0
            # Light changes over a day, the view does not.
            self._usual += np.float32(0.1) * (seen - self._usual)
        elif self._steady < STEADY:
            self._usual, self._steady = seen, 0  # no fixed camera, or not yet
        elif response < UNLIKE or shift >= SHIFTED:
            self._elsewhere += 1
            if self._elsewhere >= MOVED + STEADY:
                self._usual, self._steady, self._elsewhere = seen, 0, 0  # that is its view now
        return self._elsewhere >= MOVED
