"""Frames the network was unsure of, kept as pictures: the next calibration set."""

import logging
import time
from datetime import UTC, datetime
from pathlib import Path

from edgecnn.errors import EdgeCnnError
from edgecnn.head import SOFTMAX, Head
from edgecnn.opencv import opencv
from edgecnn.preprocessing import Frame
from edgecnn.targets.captured import Captured
from edgecnn.targets.live.sinks import Sink
from edgecnn.targets.prediction import Prediction

log = logging.getLogger(__name__)
EVERY_S = 1.0
PATTERN = "edgecnn-*.png"


class Unsure:
    """Passes on the answers whose best class is less probable than `below`, one a second at most.

    Of labels that each hold or not, and of yes or no, those with one nearer to its threshold than
    that part of the way to 0 or 1.
    """

    def __init__(self, sink: Sink, *, below: float, head: Head = SOFTMAX) -> None:
        self._sink, self._below, self._head = sink, below, head
        self._next = 0.0

    def write(self, prediction: Prediction, captured: Captured) -> None:
        """Pass it on if the network was unsure."""
        now = time.monotonic()
        if now >= self._next and self._sure(prediction) < self._below:
            self._next = now + EVERY_S
            self._sink.write(prediction, captured)

    def close(self) -> None:
        """Close the output behind."""
        self._sink.close()

    def _sure(self, prediction: Prediction) -> float:
        if self._head.kind == "softmax" or prediction.probabilities is None:
            return prediction.probability
        return self._head.margin(prediction.probabilities)


class Snapshots:
    """Writes frames into a folder.

    PNG, because JPEG's losses would be calibrated in. Never more than `limit` pictures: the oldest
    of those it made goes first. A full or broken disk is reported, and does not end the run.
    """

    def __init__(self, folder: Path, *, limit: int) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EdgeCnnError(f"--snapshots {folder}: {error.strerror}.") from None
        self._folder, self._limit = folder, limit
        self._kept = sorted(folder.glob(PATTERN))
        self._failed = False

    def write(self, prediction: Prediction, captured: Captured) -> None:  # noqa: ARG002
        """Keep the frame."""
        moment = datetime.fromtimestamp(captured.captured_at, UTC).strftime("%Y%m%dT%H%M%S.%f")
        path = self._folder / f"edgecnn-{moment}.png"
        try:
            while len(self._kept) >= self._limit:
                self._kept.pop(0).unlink(missing_ok=True)
            path.write_bytes(_png(captured.image))
        except OSError as error:
            path.unlink(missing_ok=True)
            if not self._failed:
                log.warning("edgecnn: --snapshots %s: %s.", self._folder, error.strerror)
            self._failed = True
            return
        self._failed = False
        self._kept.append(path)

    def close(self) -> None:
        """Nothing is held."""


def _png(frame: Frame) -> bytes:
    cv2 = opencv()
    # The least compression: on a small board more takes a second.
    data: bytes = cv2.imencode(".png", frame, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
    return data
