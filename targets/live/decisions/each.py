"""Which labels are in force where each holds or not: `sigmoid` and `binary` networks."""

import numpy as np
from numpy.typing import NDArray

from edgecnn.errors import EdgeCnnError
from edgecnn.head import Head
from edgecnn.targets.answer import either, holding, ranked
from edgecnn.targets.live.decisions.rule import DecisionRule
from edgecnn.targets.live.decisions.smoothing import MajorityOfEach, smoothing
from edgecnn.targets.prediction import NOTHING, Decision, Prediction, Top

MAJORITY = float(np.nextafter(np.float32(0.5), np.float32(1)))
"""The share of votes that has to be reached: more than half."""


class EachDecider:
    """Follows a rule over the predictions of one source, one output at a time.

    An output comes into force when it reaches its threshold, and stays until it falls below
    threshold - hysteresis. With `majority` a frame votes by the threshold, and more than half
    of the votes are needed. The rule's threshold, where it has one, takes the place of the head's.

    Raises `EdgeCnnError` for a hysteresis with which something would stay in force for ever.
    """

    def __init__(self, rule: DecisionRule, labels: tuple[str, ...], head: Head) -> None:
        self._labels = labels
        self._head = head = head.with_threshold(rule.threshold)
        self._smooth = smoothing(rule.smooth, head)
        voted = isinstance(self._smooth, MajorityOfEach)
        lowest = MAJORITY if voted else min(head.thresholds)
        if rule.hysteresis >= lowest:
            raise EdgeCnnError(
                f"--hysteresis {rule.hysteresis:g}: what came into force at {lowest:g} would stay "
                "for ever. Give less than that."
            )
        self._reach = np.full_like(head.thresholds, MAJORITY, np.float32)
        if not voted:
            self._reach[:] = head.thresholds
        self._keep = self._reach - np.float32(rule.hysteresis)
        self._in_force: NDArray[np.bool_] | None = None
        self._since = 0.0
        self._last: Decision | None = None

    def __call__(self, prediction: Prediction, clock: float) -> Decision:
        """The decision after one more prediction, which must carry what the network gave.

        `clock` is the frame's time in seconds, on a clock that nobody sets.
        """
        if prediction.probabilities is None:
            raise ValueError("A decision needs what the network gave.")
        if prediction.unknown and self._last is not None:
            return self._last._replace(changed=False)  # it speaks neither for nor against
        smoothed = self._smooth(prediction.probabilities, clock)
        before = self._in_force
        needed = self._reach if before is None else np.where(before, self._keep, self._reach)
        self._in_force = in_force = smoothed >= needed
        changed = before is None or bool((in_force != before).any())
        if changed:
            self._since = prediction.captured_at
        best, labels = self._answer(smoothed, in_force)
        self._last = Decision(
            best.label, best.class_index, best.probability, changed, self._since, labels
        )
        return self._last

    def _answer(
        self, smoothed: NDArray[np.float32], in_force: NDArray[np.bool_]
    ) -> tuple[Top, tuple[str, ...] | None]:
        if self._head.kind == "binary":
            answer, _ = either(smoothed, self._labels, self._head, holds=bool(in_force[0]))
            return answer, None
        order = ranked(smoothed, self._labels, len(self._labels))
        held = holding(order, in_force)
        best = held[0] if held else Top(NOTHING, None, order[0].probability)
        return best, tuple(top.label for top in held)
