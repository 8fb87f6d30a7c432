"""A frame as a source gives it."""

import time
from dataclasses import dataclass
from typing import Self

from edgecnn.preprocessing import Frame


@dataclass(frozen=True)
class Captured:
    """A frame and when it was caught."""

    image: Frame
    """uint8 BGR `(height, width, 3)`. Valid until the next read: sources reuse their buffers."""
    index: int
    """Its number in the source, from 0; frames that were dropped are counted."""
    captured_at: float
    """Unix time of the capture, in seconds."""
    clock: float
    """The same moment on `time.perf_counter`, in seconds."""
    dropped: int = 0
    """Frames the source delivered since the last one read, and nobody looked at."""

    @classmethod
    def now(cls, image: Frame, index: int) -> Self:
        """A frame that was caught at this moment."""
        return cls(image, index, time.time(), time.perf_counter())
