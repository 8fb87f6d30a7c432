"""Frames as JPEGs for viewers: encoded once for all of them, beside the live loop."""

import logging
import threading
import time
from collections.abc import Callable

import numpy as np

from edgecnn.opencv import opencv
from edgecnn.preprocessing import Frame
from edgecnn.targets.region import Region

log = logging.getLogger(__name__)
MAX_FPS = 10.0
MAX_SIDE = 960
QUALITY = 75


class Encoder:
    """A thread that turns the newest frame into a JPEG, at most ten a second.

    The live loop only copies pixels, into a buffer that is used again and again, and only when
    somebody is watching.
    """

    def __init__(self, wanted: Callable[[], bool], publish: Callable[[bytes], None]) -> None:
        self._wanted = wanted
        self._publish = publish
        self._ready = threading.Condition()
        self._buffer: Frame = np.empty(0, np.uint8)
        self._region: Region | None = None
        self._full = self._closed = self._said = False
        self._next = 0.0
        self._thread = threading.Thread(target=self._work, name="encode", daemon=True)
        self._thread.start()

    def offer(self, frame: Frame, region: Region | None) -> None:
        """Take a frame if one is due; returns at once."""
        now = time.monotonic()
        if now < self._next or not self._wanted():
            return
        # While the buffer is being encoded this frame is left out: the loop never waits.
        if not self._ready.acquire(blocking=False):
            return
        try:
            if self._full:
                return
            if self._buffer.shape != frame.shape:
                self._buffer = np.empty_like(frame)
            np.copyto(self._buffer, frame)
            self._region, self._full = region, True
            self._next = now + 1 / MAX_FPS
            self._ready.notify()
        finally:
            self._ready.release()

    def close(self) -> None:
        """End the thread."""
        with self._ready:
            self._closed = True
            self._ready.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._ready:
                while not (self._full or self._closed):
                    self._ready.wait()
                if self._closed:
                    return
            try:
                jpeg = encode(self._buffer, self._region)
            except Exception as error:  # OpenCV's own: the next frame may be another
                if not self._said:
                    log.warning("edgecnn: a frame cannot be shown on the web page: %s", error)
                self._said = True
                continue
            finally:
                with self._ready:
                    self._full = False
            self._publish(jpeg)


def encode(frame: Frame, region: Region | None) -> bytes:
    """A frame as JPEG, no side over 960 pixels, the region of interest framed."""
    cv2 = opencv()
    height, width = frame.shape[:2]
    scale = min(1.0, MAX_SIDE / max(height, width))
    if scale < 1:
        frame = cv2.resize(
            frame,
            (max(1, round(width * scale)), max(1, round(height * scale))),
            interpolation=cv2.INTER_AREA,
        )
    if region:
        rows, columns = region.rows_and_columns(frame)
        # The buffer is our own, so it may be drawn on.
        corners = (columns.start, rows.start), (columns.stop - 1, rows.stop - 1)
        cv2.rectangle(frame, *corners, (255, 255, 255), 2)
    jpeg: bytes = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    return jpeg
