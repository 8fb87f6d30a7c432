"""The live loop: frames from a source, through the network, to whoever wants the answers."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edgecnn.errors import EdgeCnnError, RuntimeUnavailable
from edgecnn.targets.answer import AnswerOptions
from edgecnn.targets.captured import Captured
from edgecnn.targets.classifier import Classifier, load
from edgecnn.targets.live.pace import Pace
from edgecnn.targets.live.pulse import Pulse
from edgecnn.targets.live.sources import DEFAULT_TIMEOUT_S, open_frames
from edgecnn.targets.live.sources.source import FrameSource
from edgecnn.targets.prediction import Prediction
from edgecnn.targets.region import Region

if TYPE_CHECKING:  # what is asked for is imported then: a start waits for no other
    from edgecnn.signature import TrustedKeys
    from edgecnn.targets.live.alarm import AlarmOptions, Watch
    from edgecnn.targets.live.decisions import DecisionRule
    from edgecnn.targets.live.shadow import Shadow, ShadowOptions

log = logging.getLogger(__name__)
FEW = 10
"""Frames of a camera in a row that an engine may fail on: a board's accelerator may be reset."""


class LiveOptions(NamedTuple):
    """How a source is followed, beyond its URI."""

    size: tuple[int, int] | None = None
    """The (width, height) to ask a camera for."""
    camera_fps: float | None = None
    """The frame rate to ask a camera for."""
    timeout_s: float = DEFAULT_TIMEOUT_S
    """How long a live source may be silent before it counts as lost and is connected again."""
    max_outage_s: float | None = None
    """How long it may be away before `SourceOutage`; None: for ever; 0: its end is the end."""
    region: Region | None = None
    """The part of the frame to look at."""
    max_fps: float | None = None
    """Look at no more frames in a second, to save power."""
    max_age_ms: float | None = None
    """Look at fewer frames while they are older than this when answered (p99). Live sources."""
    answers: AnswerOptions = AnswerOptions()
    """What is asked of answers beside the label."""
    alarm: "AlarmOptions | None" = None
    """Adds to each prediction whether the stream is still like the held-out pictures."""
    rule: "DecisionRule | None" = None
    """Adds a decision to each prediction."""
    shadow: "ShadowOptions | None" = None
    """A candidate that looks at some of the frames, and how often it differs."""

    @property
    def threshold(self) -> float | None:
        """That of the rule, which holds for each prediction too where the head has any."""
        return self.rule.threshold if self.rule else None

    def open(self, source: str, stop: threading.Event) -> FrameSource:
        """Open a source; raises what `open_frames` raises."""
        return open_frames(
            source,
            size=self.size,
            fps=self.camera_fps,
            timeout_s=self.timeout_s,
            max_outage_s=self.max_outage_s,
            stop=stop,
        )


def classify(
    source: str,
    bundle_dir: Path | str,
    *,
    runtime: str = "auto",
    threads: int | None = None,
    frames: int | None = None,
    options: LiveOptions | None = None,
    trusted: "TrustedKeys | None" = None,
    stop: threading.Event | None = None,
) -> Iterator[Prediction]:
    """Predictions for the frames of a source, until it ends or `frames` were answered.

        for prediction in edgecnn.classify("0", "exports/resnet34-int8"):
            print(prediction.label, prediction.probability)

    A camera or stream has no end: when it is lost it is connected again. `source` is a URI as in
    `edgecnn.targets.live.sources`; `trusted` is as in `load`. Setting `stop` ends the iteration.
    Raises what `load` and
    `open_frames` raise, `SourceOutage` when a live source stays away for longer than
    `options.max_outage_s`, `SourceError` when a file breaks.
    """
    options, stop = options or LiveOptions(), stop or threading.Event()
    classifier = load(
        bundle_dir,
        runtime,
        threads,
        region=options.region,
        threshold=options.threshold,
        answers=options.answers,
        trusted=trusted,
    )
    opened = options.open(source, stop)
    with closing(opened), open_shadow(options, classifier, trusted) as shadow:
        for prediction, _ in follow(
            opened, classifier, options, frames=frames, stop=stop, shadow=shadow
        ):
            yield prediction


@contextmanager
def open_shadow(
    options: LiveOptions, classifier: Classifier, trusted: "TrustedKeys | None"
) -> "Iterator[Shadow | None]":
    """The candidate that the options ask for, until the end of the block."""
    shadow = options.shadow.open(classifier, trusted) if options.shadow else None
    try:
        yield shadow
    finally:
        if shadow is not None:
            shadow.close()


def follow(
    source: FrameSource,
    classifier: Classifier,
    options: LiveOptions,
    *,
    frames: int | None,
    stop: threading.Event,
    pulse: Pulse | None = None,
    shadow: "Shadow | None" = None,
) -> Iterator[tuple[Prediction, Captured]]:
    """As `answers`, at the pace and with the decisions that the options ask for."""
    pace = Pace(options.max_fps, options.max_age_ms if source.live else None)
    labels, head = classifier.bundle.labels, classifier.head
    decide = None
    if options.rule:
        from edgecnn.targets.live.decisions import decider

        decide = decider(options.rule, labels, head)
    watch = _watch(classifier, options.alarm) if options.alarm else None
    for prediction, captured in answers(
        source, classifier, frames=frames, stop=stop, pace=pace, pulse=pulse
    ):
        pace.answered(prediction.latency_ms.age)
        # A video is read faster or slower than it was filmed.
        filmed = None if source.live or not source.fps else captured.index / source.fps
        clock = captured.clock if filmed is None else filmed
        found: dict[str, Any] = {}
        if watch:
            found["alarm"] = watch(prediction, classifier.image[0], clock)
        if shadow:
            prediction = shadow(prediction, captured)  # noqa: PLW2901
        if decide:
            found["decision"] = decide(prediction, clock)
        if found:
            prediction = replace(prediction, **found)  # noqa: PLW2901
        yield prediction, captured


def _watch(classifier: Classifier, options: "AlarmOptions") -> "Watch":
    from edgecnn.targets.live.alarm import Watch
    from edgecnn.usual import Usual

    usual = Usual.load(classifier.bundle, classifier.format)
    if usual is None:
        raise EdgeCnnError(
            f"{classifier.bundle.path} is of before export measured what is usual: export again."
        )
    return Watch(usual, classifier.head, options)


class Failures:
    """Frames that the engine failed on since the last answer; too many in a row are the end."""

    def __init__(self, engine: str, bearable: int) -> None:
        self._engine, self._bearable = engine, bearable
        self._failed = self._dropped = self._in_all = 0

    def note(self, error: RuntimeUnavailable, dropped: int) -> None:
        """One more, before which so many frames were dropped; raises it if that is too many."""
        if self._failed == self._bearable:
            raise error
        self._failed += 1
        self._dropped += dropped
        self._in_all += 1
        # As with damaged frames: a line for 1, 10, 100, ... of them.
        if str(self._in_all).strip("0") == "1":
            log.warning(
                "edgecnn: %s failed on a frame (%d so far): %s", self._engine, self._in_all, error
            )

    def told_by(self, prediction: Prediction) -> Prediction:
        """The answer that came at last, which says what was before it."""
        if self._failed:
            dropped = prediction.dropped + self._dropped
            prediction = replace(prediction, dropped=dropped, failed=self._failed)
            self._failed = self._dropped = 0
        return prediction


def answers(
    source: FrameSource,
    classifier: Classifier,
    *,
    frames: int | None = None,
    stop: threading.Event | None = None,
    pace: Pace | None = None,
    pulse: Pulse | None = None,
) -> Iterator[tuple[Prediction, Captured]]:
    """Each frame's prediction with the frame, whose pixels are valid until the next one.

    Frames of a camera that the engine fails on are counted; the error of the eleventh in a row, and
    the first of a file, is raised. `pulse` is kept up to date: whoever takes the answers counts as
    an output.
    """
    stop, pace, pulse = stop or threading.Event(), pace or Pace(), pulse or Pulse()
    engine = classifier.session.engine
    failures = Failures(engine, bearable=FEW if source.live else 0)
    answered = 0
    while (frames is None or answered < frames) and not stop.is_set():
        pulse.waits()
        pace.wait(stop)
        asked_at = time.perf_counter()
        if not source.live:
            pulse.does(source.uri)
        captured = source.read()
        if captured is None:
            break
        pulse.does(engine)
        try:
            prediction = classifier.predict(captured, asked_at)
        except RuntimeUnavailable as error:
            failures.note(error, captured.dropped)
            continue
        prediction = failures.told_by(prediction)
        pulse.does("an output")
        yield prediction, captured
        answered += 1
    pulse.waits()
