"""Only what changed."""

from edgecnn.targets.captured import Captured
from edgecnn.targets.live.sinks import Sink
from edgecnn.targets.prediction import Prediction


class Changes:
    """Passes on the predictions with which the decision changed."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, prediction: Prediction, captured: Captured) -> None:
        """Pass it on if the label in force is a new one."""
        if prediction.decision is not None and prediction.decision.changed:
            self._sink.write(prediction, captured)

    def close(self) -> None:
        """Close the output behind."""
        self._sink.close()
