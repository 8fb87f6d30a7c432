"""What a frame source is, and the frame it gives."""

import time
from dataclasses import dataclass
from typing import Protocol, Self

from edgecnn.preprocessing import Frame


@dataclass(frozen=True)
class Wish:
    """What a camera is asked for; it may give something else."""

    size: tuple[int, int] | None = None
    """(width, height)"""
    fps: float | None = None
    """Frames a second."""


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


class FrameSource(Protocol):
    """Where frames come from.

    The end, a time-out and an error are three things: `read` returns None, raises
    `SourceTimeout`, raises `SourceError`.
    """

    uri: str
    live: bool
    """Whether frames come at their own pace (newest wins) or wait to be read (all are read)."""
    fps: float | None
    """Frames a second, where the source says."""

    def read(self) -> Captured | None:
        """The next frame, or None at the end of the stream."""
        ...

    def close(self) -> None:
        """Let go of the device or file; may be called twice."""
        ...
