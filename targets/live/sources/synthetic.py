"""A camera that needs no hardware, for trying things out and for tests."""

import time

import numpy as np

from edgecnn.preprocessing import Frame
from edgecnn.targets.captured import Captured

SIZE = (640, 480)


class Pattern:
    """A moving picture: a colour gradient that drifts, the same for the same frame number.

    It rolls over one precomputed canvas, so that a frame costs a copy.
    """

    def __init__(self, size: tuple[int, int] = SIZE) -> None:
        width, height = size
        x, y = np.arange(2 * width), np.arange(height)
        self._canvas = np.empty((height, 2 * width, 3), np.uint8)
        self._canvas[..., 0] = x * 255 // width % 256
        self._canvas[..., 1] = np.where(np.logical_xor.outer(y // 32 % 2, x // 32 % 2), 255, 0)
        self._canvas[..., 2] = (y * 255 // height)[:, None]
        self._width = width

    def frame(self, index: int, into: Frame | None = None) -> Frame:
        """Frame number `index`, uint8 BGR `(height, width, 3)`."""
        start = 4 * index % self._width
        window = self._canvas[:, start : start + self._width]
        if into is None:
            return window.copy()
        np.copyto(into, window)
        return into


class Synthetic:
    """A `FrameSource` of endless frames, as fast as they are read."""

    live = False
    fps: float | None = None

    def __init__(self, uri: str = "synthetic", size: tuple[int, int] = SIZE) -> None:
        self.uri = uri
        self._pattern = Pattern(size)
        self._buffer: Frame | None = None
        self._index = 0

    def read(self) -> Captured | None:
        """The next frame; there is always one."""
        self._buffer = self._pattern.frame(self._index, self._buffer)
        captured = Captured.now(self._buffer, self._index)
        self._index += 1
        return captured

    def close(self) -> None:
        """Nothing is held."""


class SyntheticCamera:
    """A live `Device` that delivers frames at a rate, whether or not they are looked at."""

    endless = True
    age_s = 0.0

    def __init__(self, size: tuple[int, int], fps: float) -> None:
        self.fps: float | None = fps
        self._period = 1 / fps
        self._pattern = Pattern(size)
        self._next = time.monotonic()
        self._index = -1

    def wait(self) -> bool:
        """Sleep until the next frame is due."""
        self._next += self._period
        time.sleep(max(0.0, self._next - time.monotonic()))
        self._index += 1
        return True

    def take(self, into: Frame | None) -> Frame | None:
        """The frame that is due."""
        return self._pattern.frame(self._index, into)

    def close(self) -> None:
        """Nothing is held."""
