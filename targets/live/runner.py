"""`edgecnn run`: the live loop with its outputs, until it is told to stop."""

import logging
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from edgecnn.starting import starting
from edgecnn.targets.board.target import detect
from edgecnn.targets.classifier import Classifier, load
from edgecnn.targets.live.loop import LiveOptions, follow, open_shadow
from edgecnn.targets.live.outputs import Outputs
from edgecnn.targets.live.pulse import Pulse
from edgecnn.targets.live.spoken import spoken_beside
from edgecnn.targets.live.stopping import stop_on_signals
from edgecnn.targets.live.systemd import Notifier
from edgecnn.targets.live.watchdog import Watchdog

if TYPE_CHECKING:
    from edgecnn.signature import TrustedKeys

log = logging.getLogger(__name__)


@spoken_beside()
def run(
    bundle_dir: Path | str,
    source: str,
    outputs: Outputs,
    *,
    target: str = "auto",
    runtime: str = "auto",
    threads: int | None = None,
    self_check: bool = True,
    trusted: "TrustedKeys | None" = None,
    frames: int | None = None,
    options: LiveOptions | None = None,
) -> int:
    """Classify a source's frames until it ends, `frames` were answered, or a signal comes.

    Returns the exit code: 0, or 130 after Ctrl-C.
    """
    options = options or LiveOptions()
    board = detect(name=target)
    board.pin(threads or board.threads)
    with starting():
        # Before signals only set a flag: the first start tries engines for a while.
        classifier = load(
            bundle_dir,
            runtime,
            threads,
            target=target,
            region=options.region,
            threshold=options.threshold,
            answers=options.answers,
            self_check=self_check,
            trusted=trusted,
        )
    _warn_if_meaningless(classifier)
    with stop_on_signals() as stop, ExitStack() as held:
        opened = options.open(source, stop)
        held.callback(opened.close)
        pulse, notifier = Pulse(), Notifier()
        shadow = held.enter_context(open_shadow(options, classifier, trusted))
        sinks = outputs.open(held, opened, classifier, board, stop, pulse, shadow)
        if options.alarm:
            from edgecnn.targets.live.sinks.alarms import Alarms

            sinks.append(Alarms())
        held.callback(notifier.close)
        held.enter_context(Watchdog(pulse, notifier))
        for prediction, captured in follow(
            opened, classifier, options, frames=frames, stop=stop, pulse=pulse, shadow=shadow
        ):
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
