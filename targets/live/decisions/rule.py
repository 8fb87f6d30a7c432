"""Which label of many is in force: threshold, "unknown", hysteresis, and when it changed."""

from dataclasses import dataclass

import numpy as np

from edgecnn.errors import EdgeCnnError
from edgecnn.targets.live.decisions.smoothing import smoothing
from edgecnn.targets.prediction import UNKNOWN, Decision, Prediction


@dataclass(frozen=True)
class DecisionRule:
    """How predictions become a decision.

    A class comes into force when it is the most probable one and reaches `threshold`. It stays
    until it falls below `threshold - hysteresis`, or another leads it by more than `hysteresis`.
    Probabilities are those after smoothing: `exponential:SECONDS` or `majority:FRAMES`. Networks
    whose labels each hold or not, or that answer yes or no, have thresholds of their own: see
    `EachDecider`.
    """

    smooth: str | None = None
    threshold: float | None = None
    """None: 0, or that of the network's head."""
    hysteresis: float = 0.0

    def __post_init__(self) -> None:
        smoothing(self.smooth)
        if not 0 <= (self.threshold or 0) <= 1:
            raise EdgeCnnError(f"--threshold is a probability from 0 to 1, not {self.threshold:g}.")
        if not 0 <= self.hysteresis <= 1:
            raise EdgeCnnError(f"--hysteresis lies between 0 and 1, not at {self.hysteresis:g}.")


class Decider:
    """Follows a rule over the predictions of one source, of which one label holds (`softmax`)."""

    def __init__(self, rule: DecisionRule, labels: tuple[str, ...]) -> None:
        self._rule = rule
        self._labels = labels
        self._smooth = smoothing(rule.smooth)
        self._threshold = rule.threshold or 0.0
        self._in_force: int | None = None
        self._since: float | None = None

    def __call__(self, prediction: Prediction, clock: float) -> Decision:
        """The decision after one more prediction, which must carry its probabilities.

        `clock` is the frame's time in seconds, on a clock that nobody sets.
        """
        if prediction.probabilities is None:
            raise ValueError("A decision needs the probabilities of all classes.")
        # Nothing speaks for a label where none is possible.
        weight = np.float32(0 if prediction.unknown else 1)
        smoothed = self._smooth(weight * prediction.probabilities, clock)
        best = int(smoothed.argmax())
        kept = self._in_force
        if kept is None or not self._stays(float(smoothed[kept]), float(smoothed[best])):
            kept = best if 0 < smoothed[best] >= self._threshold else None
        changed = self._since is None or kept != self._in_force
        if changed or self._since is None:
            self._since = prediction.captured_at
        self._in_force = kept
        return Decision(
            label=UNKNOWN if kept is None else self._labels[kept],
            class_index=kept,
            probability=float(smoothed[best if kept is None else kept]),
            changed=changed,
            since=self._since,
        )

    def _stays(self, own: float, best: float) -> bool:
        hysteresis = self._rule.hysteresis
        return 0 < own >= self._threshold - hysteresis and best - own <= hysteresis
