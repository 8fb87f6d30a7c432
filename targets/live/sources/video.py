"""A video file, every frame of it."""

from pathlib import Path

from edgecnn.errors import SourceError
from edgecnn.opencv import opencv
from edgecnn.preprocessing import Frame
from edgecnn.targets.captured import Captured


class VideoFile:
    """A `FrameSource` over a video file: waits for its reader, drops nothing.

    The end is where decoding ends; the frame count in the container is often wrong and is not
    asked for.
    """

    live = False

    def __init__(self, file: Path) -> None:
        cv2 = opencv()
        self.uri = str(file)
        self._capture = cv2.VideoCapture(str(file), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise SourceError(f"{file} is neither a picture nor a video OpenCV can read.")
        self.fps: float | None = self._capture.get(cv2.CAP_PROP_FPS) or None
        self._buffer: Frame | None = None
        self._index = 0

    def read(self) -> Captured | None:
        """The next frame."""
        ok, image = self._capture.read(self._buffer)
        if not ok:
            if self._index == 0:
                raise SourceError(f"{self.uri} holds no frame that can be decoded.")
            return None
        self._buffer = image
        captured = Captured.now(image, self._index)
        self._index += 1
        return captured

    def close(self) -> None:
        """Close the file."""
        self._capture.release()
