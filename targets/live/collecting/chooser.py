"""Why a frame is worth a label: the network is unsure, it is new, or answers do not hold.

What is unsure and what is new is told by comparison with the newest frames and not by a bound of
its own: networks differ in how sure they say they are, and a share of the frames is what disk and
people have room for. Beside these frames a random stream is kept, from which alone the accuracy
over all frames can be estimated (`edgecnn.estimate`).
"""

import random
from collections import deque
from dataclasses import dataclass

import numpy as np

from edgecnn.inbox import Why
from edgecnn.targets.classifier import Classifier
from edgecnn.targets.live.collecting.made import made_of
from edgecnn.targets.live.collecting.newest import Lowest
from edgecnn.targets.live.collecting.seen import NEVER, Seen, look
from edgecnn.targets.prediction import Prediction

UNCERTAIN, NOVEL = 0.05, 0.02
"""Shares of the frames, before near-duplicates are left out."""
RANDOM_EVERY_S = 60.0
"""Of a camera or video: a frame of the random stream in this time, on average."""
RANDOM_SHARE = 0.05
"""Of pictures, which have no time."""
PAUSE_S = 1.0
"""Between frames that are kept for the same reason."""
LOOK_S = 0.25
"""Between comparisons of what the network made of a frame with what was kept."""
ANSWERS, CHANGES = 8, 3
"""An answer flickers that changed so often in so many frames, between two labels."""


@dataclass(frozen=True)
class Reason:
    """Why a frame is kept."""

    why: Why
    inclusion: float | None = None


class RandomStream:
    """Draws frames with a probability that is known of each, whatever it shows."""

    def __init__(self, *, timed: bool, seed: int | None = None) -> None:
        self._draw = random.Random(seed).random
        self._timed = timed
        self._before: float | None = None
        self._interval = 1 / 30

    def __call__(self, clock: float) -> float | None:
        """The probability, if the frame of this time in seconds was drawn."""
        inclusion = RANDOM_SHARE
        if self._timed:
            if self._before is not None:
                # Smoothed: frames that weigh alike tell more.
                self._interval += 0.05 * (clock - self._before - self._interval)
            self._before = clock
            inclusion = min(1.0, max(self._interval, 1e-6) / RANDOM_EVERY_S)
        return inclusion if self._draw() < inclusion else None


class Flicker:
    """Tells whether answers go to and fro."""

    def __init__(self) -> None:
        self._answers: deque[str] = deque(maxlen=ANSWERS)
        self._changed: deque[bool] = deque(maxlen=ANSWERS)
        self._changes = 0

    def __call__(self, answer: str) -> bool:
        """Take one answer."""
        changed = bool(self._answers) and self._answers[-1] != answer
        if len(self._changed) == ANSWERS:
            self._changes -= self._changed[0]
        self._changed.append(changed)
        self._answers.append(answer)
        self._changes += changed
        return changed and self._changes >= CHANGES and len(set(self._answers)) == 2


class Chooser:
    """Takes every answer of a classifier, and says which frames to keep and why."""

    def __init__(self, classifier: Classifier, *, timed: bool, seed: int | None = None) -> None:
        """`timed` is a stream whose frames follow each other in time; else they are pictures."""
        self._classifier, self._timed = classifier, timed
        self._random = RandomStream(timed=timed, seed=seed)
        self._uncertain, self._novel = Lowest(UNCERTAIN), Lowest(NOVEL)
        self._flickers = Flicker()
        self._seen = Seen()
        self._next_look = -np.inf
        self._next: dict[Why, float] = {}

    def __call__(self, prediction: Prediction, clock: float) -> Reason | None:
        """Why this frame, the classifier's newest, is kept; None: it is not.

        `clock` is its time in seconds, of pictures their number.
        """
        inclusion, why = self._random(clock), self._why(prediction, clock)
        if inclusion is None and (why is None or self._pauses(why, clock)):
            return None
        made, shown = made_of(self._classifier, prediction), look(self._classifier.image[0])
        if inclusion is None and self._seen.has_alike(made, shown):
            return None
        self._seen.add(made, shown)
        if inclusion is not None:
            return Reason("random", inclusion)
        assert why is not None
        self._next[why] = clock + PAUSE_S
        return Reason(why)

    def _pauses(self, why: Why, clock: float) -> bool:
        return self._timed and clock < self._next.get(why, -np.inf)

    def _why(self, prediction: Prediction, clock: float) -> Why | None:
        flickers = self._timed and self._flickers(prediction.label)
        uncertain = self._uncertain(self._sureness(prediction))
        if flickers or uncertain:
            return "flicker" if flickers else "uncertain"
        if self._timed and clock < self._next_look:
            return None
        self._next_look = clock + LOOK_S
        near = self._seen.nearness(made_of(self._classifier, prediction))
        return "novel" if self._novel(near) or near == NEVER else None

    def _sureness(self, prediction: Prediction) -> float:
        """How far the answer is from being another."""
        head = self._classifier.head
        if head.kind != "softmax" and prediction.probabilities is not None:
            return head.margin(prediction.probabilities)
        first, *others = prediction.top
        return first.probability - others[0].probability if others else first.probability
