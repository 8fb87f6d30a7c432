"""An alarm in words, when it comes and when it goes."""

import logging

from edgecnn.targets.captured import Captured
from edgecnn.targets.prediction import Prediction

log = logging.getLogger(__name__)


class Alarms:
    """One line on stderr for each change, not for each frame."""

    def __init__(self) -> None:
        self._said = ""

    def write(self, prediction: Prediction, captured: Captured) -> None:  # noqa: ARG002
        """Say what is new."""
        text = prediction.alarm.text if prediction.alarm else ""
        if text != self._said:
            log.warning("edgecnn: %s", f"alarm, {text}" if text else "no alarm any more")
        self._said = text

    def close(self) -> None:
        """Nothing is held."""
