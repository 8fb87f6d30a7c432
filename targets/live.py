"""The live loop: frames from a source, through the network, to whoever wants the answers."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from edgecnn.targets.classifier import Classifier, load
from edgecnn.targets.prediction import Prediction
from edgecnn.targets.sources import DEFAULT_TIMEOUT_S, open_frames
from edgecnn.targets.sources.source import Captured, FrameSource


def classify(
    source: str,
    bundle_dir: Path | str,
    *,
    runtime: str = "auto",
    threads: int | None = None,
    frames: int | None = None,
    size: tuple[int, int] | None = None,
    camera_fps: float | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    max_outage_s: float | None = None,
    stop: threading.Event | None = None,
) -> Iterator[Prediction]:
    """Predictions for the frames of a source, until it ends or `frames` were answered.

    A camera or stream has no end: when it is lost it is connected again.

        for prediction in edgecnn.classify("0", "exports/resnet34-int8"):
            print(prediction.label, prediction.probability)

    `source` is a URI as in `edgecnn.targets.sources`, `size` the (width, height) and `camera_fps`
    the rate to ask a camera for, `timeout_s` how long a live source may be silent before it is
    lost, `max_outage_s` how long it may then be away (None: for ever; 0: its end is the end).
    Setting `stop` ends the iteration. Raises what `load` and `open_frames` raise,
    `SourceOutage` when a live source stays away, `SourceError` when a file breaks.
    """
    classifier = load(bundle_dir, runtime, threads)
    opened = open_frames(
        source,
        size=size,
        fps=camera_fps,
        timeout_s=timeout_s,
        max_outage_s=max_outage_s,
        stop=stop,
    )
    with closing(opened):
        for prediction, _ in answers(opened, classifier, frames=frames, stop=stop):
            yield prediction


def answers(
    source: FrameSource,
    classifier: Classifier,
    *,
    frames: int | None = None,
    stop: threading.Event | None = None,
) -> Iterator[tuple[Prediction, Captured]]:
    """Each frame's prediction with the frame, whose pixels are valid until the next one."""
    answered = 0
    while (frames is None or answered < frames) and not (stop and stop.is_set()):
        asked_at = time.perf_counter()
        captured = source.read()
        if captured is None:
            return
        yield classifier.predict(captured, asked_at), captured
        answered += 1
