"""Frames worth a label, kept for `edgecnn pull` and `edgecnn label`."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgecnn.collection import Collection
from edgecnn.inbox import Why
from edgecnn.opencv import opencv
from edgecnn.pictures import SEVERAL
from edgecnn.targets.captured import Captured
from edgecnn.targets.classifier import Classifier
from edgecnn.targets.live.collecting.chooser import PAUSE_S, Chooser, Reason
from edgecnn.targets.live.sinks import Sink
from edgecnn.targets.live.sources.source import FrameSource
from edgecnn.targets.prediction import Prediction
from edgecnn.targets.region import Region

log = logging.getLogger(__name__)
QUALITY = 95
"""Of the JPEGs: hardly larger than a camera's own, and nothing a network would see."""
MOMENT_S = 60.0
STAMP = "%Y%m%dT%H%M%S"


@dataclass(frozen=True)
class Chosen(Captured):
    """A frame that is to be kept."""

    why: Why = "random"
    inclusion: float | None = None
    moment: str = ""


class Collect:
    """Passes on the frames that a `Chooser` chooses, with its reason."""

    def __init__(self, sink: Sink, classifier: Classifier, source: FrameSource) -> None:
        self._sink, self._source = sink, source
        self._timed = source.live or bool(source.fps)
        self._choose = Chooser(classifier, timed=self._timed)
        self._next_differing = -math.inf
        self._run = datetime.now(UTC).strftime(STAMP)

    def write(self, prediction: Prediction, captured: Captured) -> None:
        """Pass it on if it is worth a label."""
        clock = self._clock(captured)
        reason = self._choose(prediction, clock)
        if reason is not None:
            self._pass_on(prediction, captured, reason)

    def differ(self, prediction: Prediction, captured: Captured) -> None:
        """Pass on a frame on which a candidate says something else; from its own thread.

        Not more often than one a second: what it is wrong about lasts.
        """
        clock = self._clock(captured)
        if not self._timed or clock >= self._next_differing:
            self._next_differing = clock + PAUSE_S
            self._pass_on(prediction, captured, Reason("shadow"))

    def _pass_on(self, prediction: Prediction, captured: Captured, reason: Reason) -> None:
        clock = self._clock(captured)
        moment = f"{self._run}-{int(clock / MOMENT_S if self._timed else clock)}"
        chosen = Chosen(**vars(captured), **vars(reason), moment=moment)
        self._sink.write(prediction, chosen)

    def close(self) -> None:
        """Close the output behind."""
        self._sink.close()

    def _clock(self, captured: Captured) -> float:
        if self._source.live:
            return captured.clock
        # A video is read faster or slower than it was filmed; pictures have a number only.
        return captured.index / (self._source.fps or 1.0)


class Keeper:
    """Writes chosen frames into a folder: what was looked at, and nothing of what is blanked.

    A full or broken disk is reported, and does not end the run.
    """

    def __init__(
        self, folder: Path, bundle: str, *, limit_bytes: int, blanked: Sequence[Region] = ()
    ) -> None:
        self._collection = Collection(folder, limit_bytes=limit_bytes)
        self._bundle, self._blanked = bundle, tuple(blanked)
        self._failed = False

    def write(self, prediction: Prediction, captured: Captured) -> None:
        """Keep a `Chosen` frame, which is changed."""
        assert isinstance(captured, Chosen)
        try:
            self._collection.add(
                self._jpeg(prediction, captured), ".jpg", **self._said(prediction, captured)
            )
        except OSError as error:
            if not self._failed:
                log.warning("edgecnn: --collect %s: %s.", self._collection.folder, error.strerror)
            self._failed = True
            return
        self._failed = False

    def close(self) -> None:
        """Let go of the folder."""
        self._collection.close()

    def _jpeg(self, prediction: Prediction, captured: Captured) -> bytes:
        cv2, image = opencv(), captured.image
        for region in self._blanked:
            image[region.rows_and_columns(image)] = 0
        if prediction.region:
            image = image[prediction.region.rows_and_columns(image)]
        data: bytes = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
        return data

    def _said(self, prediction: Prediction, captured: Chosen) -> dict[str, Any]:
        region = prediction.region
        return {
            "time": datetime.fromtimestamp(captured.captured_at, UTC).isoformat(),
            "bundle": self._bundle,
            "label": SEVERAL.join(prediction.labels),
            "probability": round(prediction.probability, 6),
            "probabilities": {top.label: round(top.probability, 6) for top in prediction.top},
            "why": captured.why,
            "moment": captured.moment,
            "inclusion": captured.inclusion,
            "region": tuple(vars(region).values()) if region else None,
        }
