"""OpenCV's `VideoCapture` as a live device: cameras and network streams."""

import time
from typing import Any

from edgecnn.errors import SourceTimeout
from edgecnn.preprocessing import Frame


class CaptureDevice:
    """A `Device` over an open `cv2.VideoCapture`.

    OpenCV answers False at the end of a stream and after its own read time-out alike; the time
    it took tells which.
    """

    def __init__(self, uri: str, capture: Any, fps: float | None, timeout_s: float) -> None:
        self.uri = uri
        self.fps = fps
        self._capture = capture
        self._timeout_s = timeout_s

    def wait(self) -> bool:
        """Block until the next frame is there; raises `SourceTimeout` if none comes."""
        started = time.monotonic()
        if self._capture.grab():
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


def declared_fps(capture: Any) -> float | None:
    """The frame rate a capture declares, if it is a believable one."""
    import cv2

    fps = float(capture.get(cv2.CAP_PROP_FPS))
    return fps if 0 < fps <= 1000 else None
