"""Ctrl-C that native code cannot swallow."""

import signal
import threading
from types import FrameType
from typing import Any, Self


class Interrupt:
    """While it is entered, remembers that Ctrl-C was pressed; a context manager.

    KeyboardInterrupt is raised at once, as always. But native code that calls back into Python may
    clear it there: `check`, called between steps, raises it again.
    """

    def __init__(self) -> None:
        self._pressed = False
        self._before: Any = None

    def __enter__(self) -> Self:
        # Only the main thread gets signals, and only it may say who takes them.
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _press(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._pressed = True
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed."""
        if self._pressed:
            raise KeyboardInterrupt
