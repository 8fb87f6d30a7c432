"""Lines for people to read."""

import os
import sys
from typing import TextIO

from rich.console import Console
from rich.text import Text

from edgecnn.targets.captured import Captured
from edgecnn.targets.live.sinks.unwritable import leave_out
from edgecnn.targets.prediction import Prediction

BAR = 12


class Terminal:
    """A line a frame: number, inference time, age, dropped frames (-N), classes, decision (=).

    Of labels that each hold or not: those that do, then the most probable ones. Of a `live` source,
    what a full disk has no room for is left out, and said; else it raises `EdgeCnnError`.
    """

    def __init__(self, console: Console | None = None, *, live: bool = False) -> None:
        self._live, self._failed = live, False
        self._own = None if console else _own_stdout()
        self._console = console or Console(highlight=False, file=self._own)

    def write(self, prediction: Prediction, captured: Captured) -> None:  # noqa: ARG002
        """Print one line."""
        latency, decision, alarm = prediction.latency_ms, prediction.decision, prediction.alarm
        filled = round(prediction.probability * BAR)
        # What is said need not be the most probable label.
        each = prediction.held is not None or prediction.answer != prediction.label
        others = prediction.top[:3] if each else prediction.top[1:3]
        line = Text.assemble(
            (f"{prediction.frame:6d} ", "dim"),
            (f"{latency.inference:7.1f} ms  age {latency.age:5.0f} ms ", "cyan"),
            (f"-{prediction.dropped} " if prediction.dropped else "", "yellow"),
            ("█" * filled + "░" * (BAR - filled), "green"),
            " " if each else f" {prediction.probability:6.1%} ",
            (prediction.answer, "bold"),
            (f" = {decision.answer}" if decision else "", "magenta"),
            (f" ! {alarm.text}" if alarm and alarm.why else "", "red"),
            ("".join(f" · {t.label} {t.probability:.0%}" for t in others), "dim"),
        )
        try:
            self._console.print(line, no_wrap=True, overflow="ellipsis")
            self._failed = False
        except BrokenPipeError:
            raise  # the reader has seen enough
        except OSError as error:
            self._fail(error)

    def close(self) -> None:
        """Close what is our own."""
        if self._own:
            try:
                self._own.close()
            except OSError as error:
                self._fail(error)

    def _fail(self, error: OSError) -> None:
        leave_out("standard output", error, live=self._live, first=not self._failed)
        self._failed = True


def _own_stdout() -> TextIO:
    """Standard output with a buffer of its own.

    A thread that is stuck in Python's, before a terminal that takes nothing, would keep the program
    from ending.
    """
    sys.stdout.flush()
    return open(
        os.dup(sys.stdout.fileno()),
        "w",
        encoding=sys.stdout.encoding,
        errors=sys.stdout.errors,
    )
