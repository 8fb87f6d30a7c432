"""JSON lines, one a frame."""

import json
import sys
from pathlib import Path
from typing import TextIO

from edgecnn.errors import EdgeCnnError
from edgecnn.targets.captured import Captured
from edgecnn.targets.prediction import Prediction


class JsonLines:
    """Writes `Prediction.to_json` a line a frame to a file, or to stdout for `-`.

    Every line is flushed: its reader is a program that acts on it.
    """

    def __init__(self, destination: str) -> None:
        self._to_stdout = destination == "-"
        self._stream: TextIO = sys.stdout
        if self._to_stdout:
            return
        try:
            self._stream = Path(destination).open("w", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise EdgeCnnError(f"Cannot write {destination}: {error.strerror}.") from None

    def write(self, prediction: Prediction, captured: Captured) -> None:  # noqa: ARG002
        """Write one line."""
        self._stream.write(json.dumps(prediction.to_json(), ensure_ascii=False) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Close the file; stdout stays open."""
        if not self._to_stdout:
            self._stream.close()
