"""Where answers go: a file per kind of output."""

from typing import Protocol

from edgecnn.targets.captured import Captured
from edgecnn.targets.prediction import Prediction


class Sink(Protocol):
    """Takes every answer with its frame."""

    def write(self, prediction: Prediction, captured: Captured) -> None:
        """Take one answer; the frame's pixels may not be changed, nor kept."""
        ...

    def close(self) -> None:
        """Finish what was written."""
        ...
