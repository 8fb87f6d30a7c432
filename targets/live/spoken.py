"""What the program has to say on stderr, for which no frame waits."""

import logging
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

ROOM = 256
"""Lines that may be on their way."""
GRACE_S = 0.5


@contextmanager
def spoken_beside() -> Iterator[None]:
    """Meanwhile the log goes to stderr by a thread of its own.

    A pipe that nobody reads holds whoever writes into it, and with him all that log. Does nothing
    where the log already goes somewhere.
    """
    if logging.root.handlers:
        yield
        return
    spoken = SpokenBeside()
    logging.root.addHandler(spoken)
    try:
        yield
    finally:
        logging.root.removeHandler(spoken)
        spoken.close()


class SpokenBeside(logging.Handler):
    """Lines for which there is no room are left out, counted and, when there is room, said."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        sys.stderr.flush()
        # Not through Python's own buffer, which nobody could leave while a pipe is full.
        self._descriptor = os.dup(sys.stderr.fileno())
        self._change = threading.Condition()
        self._lines: deque[str] = deque()
        self._left_out = 0
        self._closed = False
        self._thread = threading.Thread(target=self._speak, name="stderr", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take one line."""
        line = self.format(record)
        with self._change:
            if len(self._lines) < ROOM:
                self._lines.append(line)
            else:
                self._left_out += 1
            self._change.notify_all()

    def close(self) -> None:
        """Wait a moment for what is on its way."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        self._thread.join(GRACE_S)
        super().close()

    def _speak(self) -> None:
        while (line := self._next()) is not None:
            if self._write(line):
                with self._change:
                    count = 0 if self._lines else self._left_out
                    self._left_out -= count
                if count:
                    self._write(f"edgecnn: {count} messages were left out: nobody read them.")
        os.close(self._descriptor)

    def _next(self) -> str | None:
        with self._change:
            while not (self._lines or self._closed):
                self._change.wait()
            return self._lines.popleft() if self._lines else None

    def _write(self, line: str) -> bool:
        """Whether it could be written; a reader that went away or a full disk ends no run."""
        data = f"{line}\n".encode(errors="replace")
        try:
            while data:
                try:
                    data = data[os.write(self._descriptor, data) :]
                except BlockingIOError:  # another program that shares it made it so
                    select.select((), (self._descriptor,), ())
        except OSError:
            with self._change:
                self._left_out += 1
            return False
        return True
