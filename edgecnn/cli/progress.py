"""What export is doing, on stderr."""

import signal
from types import FrameType, TracebackType
from typing import Self

from rich import progress
from rich.console import Console

from edgecnn.export.progress import Progress


class TerminalProgress(Progress):
    """Steps and progress bars.

    Native code that calls back into Python may clear a KeyboardInterrupt there: after Ctrl-C the
    next step raises it again.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = progress.Progress(
            progress.SpinnerColumn(),
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None)
        self._interrupted = False

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._interrupt)
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()
        signal.signal(signal.SIGINT, self._before)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._interrupted = True
        raise KeyboardInterrupt

    def _go_on(self) -> None:
        if self._interrupted:
            raise KeyboardInterrupt

    def step(self, name: str, total: int | None = None) -> None:
        """Show a step."""
        self._go_on()
        self._bar.reset(self._task, total=total, description=name)

    def advance(self) -> None:
        """Move the bar on."""
        self._go_on()
        self._bar.advance(self._task)

    def note(self, message: str) -> None:
        """Print a line above the bar."""
        self._console.print(f"[yellow]note:[/yellow] {message}", highlight=False, soft_wrap=True)
