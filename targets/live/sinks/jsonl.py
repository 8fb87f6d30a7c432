"""JSON lines, one a frame."""

import json
import logging
import os
import stat
import sys
from pathlib import Path

from edgecnn.errors import EdgeCnnError
from edgecnn.targets.captured import Captured
from edgecnn.targets.live.sinks.unwritable import leave_out
from edgecnn.targets.prediction import Prediction

log = logging.getLogger(__name__)


class JsonLines:
    """Writes `Prediction.to_json` a line a frame to a file, or to stdout for `-`.

    Every line is written at once: its reader is a program that acts on it. A file grows to half of
    `limit_bytes`; then it takes the name with `.1`, in the place of the one before, and another
    begins. Of a `live` source, what a full disk has no room for is left out, and said; else it
    raises `EdgeCnnError`.
    """

    def __init__(
        self, destination: str, *, live: bool = False, limit_bytes: int | None = None
    ) -> None:
        self._destination, self._live = destination, live
        self._descriptor = self._open()
        # What stdout leads to is somebody else's.
        regular = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        self._is_file = regular and destination != "-"
        self._largest = limit_bytes // 2 if limit_bytes and self._is_file else sys.maxsize
        self._bytes = self._left_out = 0

    def write(self, prediction: Prediction, captured: Captured) -> None:  # noqa: ARG002
        """Write one line."""
        line = (json.dumps(prediction.to_json(), ensure_ascii=False) + "\n").encode(
            errors="replace"
        )
        if self._bytes and self._bytes + len(line) > self._largest:
            self._turn_over()
        try:
            self._put(line)
        except BrokenPipeError:
            raise  # the reader has seen enough
        except OSError as error:
            leave_out(self._destination, error, live=self._live, first=not self._left_out)
            self._left_out += 1
        else:
            self._bytes += len(line)
            if self._left_out:
                log.warning(
                    "edgecnn: %s is written again; %d lines were left out.",
                    self._destination,
                    self._left_out,
                )
                self._left_out = 0

    def close(self) -> None:
        """Close the file; stdout stays open."""
        os.close(self._descriptor)

    def _open(self) -> int:
        if self._destination == "-":
            # Not through Python's own buffer, which nobody could leave while a pipe is full.
            sys.stdout.flush()
            return os.dup(sys.stdout.fileno())
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            return os.open(self._destination, flags, 0o666)
        except OSError as error:
            raise EdgeCnnError(f"Cannot write {self._destination}: {error.strerror}.") from None

    def _put(self, line: bytes) -> None:
        written = 0
        try:
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
        except OSError:
            if written and self._is_file:
                # No half line: who reads them could not go on behind it.
                os.ftruncate(self._descriptor, self._bytes)
                os.lseek(self._descriptor, self._bytes, os.SEEK_SET)
            raise

    def _turn_over(self) -> None:
        path = Path(self._destination)
        try:
            path.replace(path.with_stem(f"{path.stem}.1"))
        except OSError as error:
            raise EdgeCnnError(f"Cannot rename {path}: {error.strerror}.") from None
        os.close(self._descriptor)
        self._descriptor = self._open()
        self._bytes = 0
