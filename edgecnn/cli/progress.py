"""What export and evaluate are doing, on stderr."""

from typing import Self

from rich import progress
from rich.console import Console

from edgecnn.export.progress import ExportProgress
from edgecnn.interrupt import Interrupt


class _Bar:
    """One bar, while it is entered; between its moves Ctrl-C is noticed for certain."""

    def __init__(self, task: str, *columns: progress.ProgressColumn) -> None:
        self._console = Console(stderr=True)
        self._bar = progress.Progress(*columns, console=self._console, transient=True)
        self._task = self._bar.add_task(task, total=None)
        self._interrupt = Interrupt()

    def __enter__(self) -> Self:
        self._interrupt.__enter__()
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()
        self._interrupt.__exit__(*error)


class TerminalProgress(_Bar, ExportProgress):
    """Steps, and how far each is."""

    def __init__(self) -> None:
        super().__init__(
            "",
            progress.SpinnerColumn(),
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
        )

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


class PictureProgress(_Bar):
    """How many pictures are done, and how long the rest will take."""

    def __init__(self) -> None:
        super().__init__(
            "pictures",
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(),
        )

    def __call__(self, done: int, count: int) -> None:
        """So many of so many are done."""
        self._interrupt.check()
        self._bar.update(self._task, completed=done, total=count)
