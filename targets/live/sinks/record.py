"""A video file of what the network saw and said."""

import logging
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from edgecnn.errors import EdgeCnnError
from edgecnn.opencv import opencv
from edgecnn.preprocessing import Frame
from edgecnn.targets.captured import Captured
from edgecnn.targets.live.sinks.overlay import draw
from edgecnn.targets.prediction import Prediction

log = logging.getLogger(__name__)
CODECS = {".mp4": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
DEFAULT_FPS = 25.0
MAX_REPEATS = 250
LOOK_S = 1.0
SPARE_BYTES = 64 << 20
"""Left free on the disk: FFmpeg does not tell that it was full, and breaks the file."""


class Recorder:
    """Writes frames with their answers on them to a video.

    A file's frames are written one for one. A live source's are placed by their time of capture,
    a late one being repeated, so that the video plays at the speed things happened. The first
    frame sets the video's size; others are scaled to it. A file grows to half of `limit_bytes`;
    then it takes the name with `.1`, in the place of the one before, and another begins. While the
    disk is almost full, frames are left out of a live source's, which is said; a file's raise
    `EdgeCnnError`.
    """

    def __init__(
        self,
        destination: Path,
        *,
        live: bool,
        fps: float | None,
        limit_bytes: int | None = None,
    ) -> None:
        if destination.suffix.lower() not in CODECS:
            raise EdgeCnnError(
                f"--record {destination}: name it {', '.join(CODECS)} for the kind of video."
            )
        if not destination.absolute().parent.is_dir():
            raise EdgeCnnError(f"--record {destination}: there is no such folder.")
        self._destination = destination
        self._live = live
        self._fps = fps or DEFAULT_FPS
        self._writer: Any = None
        self._size = (0, 0)
        self._started_at = 0.0
        self._written = 0
        self._largest = limit_bytes // 2 if limit_bytes else sys.maxsize
        self._next_look = 0.0
        self._left_out = 0

    def write(self, prediction: Prediction, captured: Captured) -> None:
        """Add one frame."""
        if not self._has_room():
            return
        picture = draw(captured.image, prediction)
        if self._writer is None:
            self._open(picture, captured.clock)
        if (picture.shape[1], picture.shape[0]) != self._size:
            picture = opencv().resize(picture, self._size)
        for _ in range(self._repeats(captured.clock)):
            self._writer.write(picture)
            self._written += 1

    def close(self) -> None:
        """Write the file's index; without it players refuse the file."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None

    def _has_room(self) -> bool:
        """Whether there is room on the disk; a file that is large enough is closed meanwhile."""
        now = time.monotonic()
        if now < self._next_look and not self._left_out:
            return True
        self._next_look = now + LOOK_S
        path = self._destination
        # Somebody may have taken the file away meanwhile, which harms nobody else.
        if self._writer is not None and path.exists() and path.stat().st_size > self._largest:
            self.close()
            path.replace(path.with_stem(f"{path.stem}.1"))
        if shutil.disk_usage(path.absolute().parent).free >= SPARE_BYTES:
            if self._left_out:
                said = "edgecnn: --record %s goes on; %d frames were left out."
                log.warning(said, path, self._left_out)
            self._left_out = 0
            return True
        if not self._live:
            raise EdgeCnnError(f"--record {path}: the disk is full.")
        if not self._left_out:
            said = "edgecnn: --record %s: the disk is almost full. Frames are left out."
            log.warning(said, path)
        self._left_out += 1
        return False

    def _repeats(self, clock: float) -> int:
        if not self._live:
            return 1
        due = round((clock - self._started_at) * self._fps) + 1
        # A long silence must not fill the disk.
        return min(max(0, due - self._written), MAX_REPEATS)

    def _open(self, picture: Frame, started_at: float) -> None:
        cv2 = opencv()
        self._size = (picture.shape[1], picture.shape[0])
        self._started_at, self._written = started_at, 0
        codec = cv2.VideoWriter.fourcc(*CODECS[self._destination.suffix.lower()])
        self._writer = cv2.VideoWriter(str(self._destination), codec, self._fps, self._size)
        if not self._writer.isOpened():
            raise EdgeCnnError(
                f"--record {self._destination}: this OpenCV cannot write it; try a name in .avi "
                "and a folder you may write to."
            )
