"""OpenCV's `VideoCapture` as a live device: cameras and network streams."""

import time
from typing import Any

from edgecnn.errors import SourceTimeout
from edgecnn.opencv import opencv
from edgecnn.preprocessing import Frame


class CaptureDevice:
    """A `Device` over an open `cv2.VideoCapture`.

    OpenCV answers False at the end of a stream and after its own read time-out alike; the time
    it took tells which. `stamped` are frames whose position in milliseconds is when they were
    captured, on the kernel's monotonic clock.
    """

    age_s = 0.0

    def __init__(self, uri: str, capture: Any, timeout_s: float, *, stamped: bool = False) -> None:
        cv2 = opencv()
        self.uri = uri
        fps = float(capture.get(cv2.CAP_PROP_FPS))
        self.fps = fps if 0 < fps <= 1000 else None  # what streams declare can be nonsense
        # A video file, even one served over HTTP, has a length and an end; a camera has neither.
        self.endless = capture.get(cv2.CAP_PROP_FRAME_COUNT) <= 0
        self._capture = capture
        self._timeout_s = timeout_s
        self._stamp = cv2.CAP_PROP_POS_MSEC if stamped else None

    def wait(self) -> bool:
        """Block until the next frame is there; raises `SourceTimeout` if none comes."""
        started = time.monotonic()
        if self._capture.grab():
            if self._stamp is not None:
                self.age_s = time.monotonic() - self._capture.get(self._stamp) / 1e3
            return True
        if time.monotonic() - started >= 0.9 * self._timeout_s:
            raise SourceTimeout(
                f"{self.uri} sent no frame for {self._timeout_s:g} s: check the camera or the "
                "server, or wait longer with --timeout."
            )
        return False

    def take(self, into: Frame | None) -> Frame | None:
        """Decode the frame `wait` found."""
        ok, image = self._capture.retrieve(into)
        return image if ok else None

    def close(self) -> None:
        """Release the device."""
        self._capture.release()
