"""From what a network says about each frame to something a robot can act on.

Smoothing over time, a threshold below which the answer is "unknown", and hysteresis so that the
label does not flicker between two.
"""

from edgecnn.targets.decisions.rule import Decider, DecisionRule

__all__ = ["Decider", "DecisionRule"]
