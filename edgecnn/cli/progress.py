"""What export and evaluate are doing, on stderr."""

from typing import Self

from rich import progress
from rich.console import Console

from edgecnn.export.progress import ExportProgress
from edgecnn.interrupt import Interrupt


class TerminalProgress(ExportProgress):
    """Steps and progress bars; between steps, Ctrl-C is noticed for certain."""

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
        self._interrupt = Interrupt()

    def __enter__(self) -> Self:
        self._interrupt.__enter__()
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()
        self._interrupt.__exit__(*error)

    def step(self, name: str, total: int | None = None) -> None:
        """Show a step."""
        self._interrupt.check()
        self._bar.reset(self._task, total=total, description=name)

    def advance(self) -> None:
        """Move the bar on."""
        self._interrupt.check()
        self._bar.advance(self._task)

    def note(self, message: str) -> None:
        """Print a line above the bar."""
        self._console.print(f"[yellow]note:[/yellow] {message}", highlight=False, soft_wrap=True)


class PictureProgress:
    """How many pictures are done, and how long the rest will take."""

    def __init__(self) -> None:
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("pictures", total=None)
        self._interrupt = Interrupt()

    def __enter__(self) -> Self:
        self._interrupt.__enter__()
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()
        self._interrupt.__exit__(*error)

    def __call__(self, done: int, count: int) -> None:
        """So many of so many are done."""
        self._interrupt.check()
        self._bar.update(self._task, completed=done, total=count)
