"""`edgecnn run`: the live loop with its outputs, until it is told to stop."""

import logging
import signal
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from edgecnn.targets.classifier import Classifier, load
from edgecnn.targets.live import LiveOptions, follow
from edgecnn.targets.sinks import Sink
from edgecnn.targets.sources.source import FrameSource
from edgecnn.targets.stopping import Stop, stop_on_signals

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outputs:
    """Which outputs a run has; with none, lines for people on stdout."""

    jsonl: str | None = None
    """A file, or `-` for stdout."""
    show: bool = False
    record: Path | None = None
    on_change: bool = False
    """Lines only where the decision changed."""

    def open(self, source: FrameSource, stop: Stop) -> list[Sink]:
        """Open them; raises `EdgeCnnError` where one cannot be."""
        sinks: list[Sink] = []
        if self.show:
            from edgecnn.targets.sinks.window import Window

            sinks.append(Window(stop))
        if self.record:
            from edgecnn.targets.sinks.record import Recorder

            sinks.append(Recorder(self.record, live=source.live, fps=source.fps))
        if self.jsonl:
            from edgecnn.targets.sinks.jsonl import JsonLines

            sinks.append(self._lines(JsonLines(self.jsonl)))
        if not sinks:
            from edgecnn.targets.sinks.terminal import Terminal

            sinks.append(self._lines(Terminal()))
        return sinks

    def _lines(self, sink: Sink) -> Sink:
        from edgecnn.targets.sinks.changes import Changes

        return Changes(sink) if self.on_change else sink


def run(
    bundle_dir: Path | str,
    source: str,
    outputs: Outputs,
    *,
    target: str = "auto",
    runtime: str = "auto",
    threads: int | None = None,
    frames: int | None = None,
    options: LiveOptions | None = None,
) -> int:
    """Classify a source's frames until it ends, `frames` were answered, or a signal comes.

    Returns the exit code: 0, or 130 after Ctrl-C.
    """
    with stop_on_signals() as stop, ExitStack() as held:
        options = options or LiveOptions()
        classifier = load(bundle_dir, runtime, threads, target=target, region=options.region)
        _warn_if_meaningless(classifier)
        opened = options.open(source, stop)
        held.callback(opened.close)
        sinks = outputs.open(opened, stop)
        for sink in sinks:
            held.callback(sink.close)
        for prediction, captured in follow(opened, classifier, options, frames=frames, stop=stop):
            for sink in sinks:
                sink.write(prediction, captured)
    return 130 if stop.signal == signal.SIGINT else 0


def _warn_if_meaningless(classifier: Classifier) -> None:
    if not classifier.bundle.weights.meaningful:
        log.warning(
            "edgecnn: %s has random weights: its answers mean nothing, only its speed and memory "
            "are real. Train it, or export a network with pretrained weights.",
            classifier.bundle.name,
        )
