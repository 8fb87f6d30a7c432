"""What is being done on each board, on stderr."""

from typing import Self

from rich import progress
from rich.console import Console
from rich.markup import escape

from edgecnn.targets.deploy.progress import DeployProgress


class TerminalProgress(DeployProgress):
    """A line a step, and a bar for what is being sent where stderr is a terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bars = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[str, progress.TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def step(self, host: str, doing: str, total_bytes: int = 0) -> None:
        """Print the step; begin a bar where something is sent."""
        self._console.print(f"{escape(host)}: {escape(doing)}")
        if (old := self._tasks.pop(host, None)) is not None:
            self._bars.remove_task(old)
        if total_bytes:
            self._tasks[host] = self._bars.add_task(escape(host), total=total_bytes)

    def advance(self, host: str, size: int) -> None:
        """Move the board's bar on."""
        if (task := self._tasks.get(host)) is not None:
            self._bars.advance(task, size)
