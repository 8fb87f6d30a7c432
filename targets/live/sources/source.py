"""What a frame source is."""

from typing import NamedTuple, Protocol

from edgecnn.targets.captured import Captured


class Wish(NamedTuple):
    """What a camera is asked for; it may give something else."""

    size: tuple[int, int] | None = None
    """(width, height)"""
    fps: float | None = None
    """Frames a second."""


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
