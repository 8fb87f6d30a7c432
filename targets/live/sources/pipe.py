"""JPEGs on standard input, one after another: `rpicam-vid --codec mjpeg -o - | edgecnn run ...`."""

import logging
import os
import select
import sys
import threading

from edgecnn.errors import SourceError
from edgecnn.targets.captured import Captured
from edgecnn.targets.live.sources.jpegs import JpegStream, decode

log = logging.getLogger(__name__)
STOP_POLL_S = 0.1


class Pipe:
    """A `FrameSource` over standard input; none is skipped but those that are damaged.

    A camera's program writing into it is held up while the network is busy: a pipe holds 64 KB,
    a picture or two.
    """

    live = False
    fps: float | None = None

    def __init__(self, stop: threading.Event | None = None, descriptor: int | None = None) -> None:
        if descriptor is None:
            if sys.stdin.isatty():
                raise SourceError("--source - reads JPEGs from a pipe: ... | edgecnn run - ...")
            descriptor = sys.stdin.fileno()
        self.uri = "standard input"
        self._descriptor = descriptor
        self._stop = stop or threading.Event()
        self._stream = JpegStream(self.uri, self._read)
        self._index = 0

    def read(self) -> Captured | None:
        """The next whole picture; raises `SourceError` if what comes is not JPEG."""
        while (picture := self._stream.next()) is not None:
            image = decode(picture)
            index, self._index = self._index, self._index + 1
            if image is not None:
                return Captured.now(image, index)
            if self._stop.is_set():
                return None
            log.warning("edgecnn: %s: picture %d is cut off or damaged.", self.uri, index)
        if self._index == 0 and not self._stop.is_set():
            raise SourceError(f"{self.uri} held no JPEG.")
        return None

    def close(self) -> None:
        """Standard input stays open: it is not ours."""

    def _read(self, count: int) -> bytes:
        # Waiting in the read itself would not notice `stop`.
        while not self._stop.is_set():
            if select.select([self._descriptor], [], [], STOP_POLL_S)[0]:
                return os.read(self._descriptor, count)
        return b""
