"""From what a network says about each frame to something a robot can act on.

Smoothing over time, a threshold, and hysteresis so that the decision does not flicker. Of one
label among many, nothing that reaches the threshold is "unknown"; labels that each hold or not,
and an answer of yes or no, are decided one by one.
"""

from collections.abc import Callable, Sequence

from edgecnn.head import Head
from edgecnn.targets.live.decisions.each import EachDecider
from edgecnn.targets.live.decisions.rule import Decider, DecisionRule
from edgecnn.targets.prediction import Decision, Prediction

__all__ = ["Decider", "DecisionRule", "EachDecider", "decider"]


def decider(
    rule: DecisionRule, labels: Sequence[str], head: Head
) -> Callable[[Prediction, float], Decision]:
    """Follows a rule over the predictions of one source, as suits the network's head."""
    if head.kind == "softmax":
        return Decider(rule, tuple(labels))
    return EachDecider(rule, tuple(labels), head)
