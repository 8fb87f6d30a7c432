"""Holds a stream against what is usual, window by window."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edgecnn.binomial import beta_quantile, upper_bound
from edgecnn.errors import EdgeCnnError
from edgecnn.head import Head
from edgecnn.reliability import Rank
from edgecnn.targets.live.alarm.evidence import Labels, Shares
from edgecnn.targets.live.alarm.view import View
from edgecnn.targets.prediction import Alarm, Prediction
from edgecnn.usual import Usual, look, saying

DAY_S = 86400.0
SAMPLE_S = 0.5
"""Frames are looked at twice a second: that costs next to nothing, and neighbours say the same."""
RARE = 0.05
"""A signal is what so many held-out pictures have at most."""
DOUBT = 0.01
"""That the held-out pictures were so unlucky a choice that the rate does not hold."""
SIGNALS = {
    "dark": ("brightness", False),
    "glaring": ("brightness", True),
    "covered": ("contrast", False),
    "blurred": ("sharpness", False),
    "noisy": ("sharpness", True),
    "unsure": ("confidence", False),
    "unfamiliar": ("familiarity", False),
}
"""Each is a measure, lower or higher than is usual."""
OTHER_LABELS = "other labels"
SCENE = ("unsure", "unfamiliar", OTHER_LABELS)
SUSPICION = 0.5
"""Part of the way to an alarm, on a logarithmic scale, from which a camera is the likelier cause:
what is dark is unfamiliar too."""


@dataclass(frozen=True)
class AlarmOptions:
    """How rare a false alarm must be."""

    days: float
    """On average no more than one in so many days, for a stream that is like the held-out pictures.
    """
    window_s: float = 20.0
    """What frames say is put together over this time. Frames half of it apart must tell nothing of
    each other: give more where a scene stays for long."""

    def __post_init__(self) -> None:
        if not (math.inf > self.days > 0 and math.inf > self.window_s >= 2 * SAMPLE_S):
            raise EdgeCnnError(
                f"--alarm {self.days:g}:{self.window_s:g}: it is days without a false alarm, and "
                "seconds that belong together: 30, or 30:60."
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """`DAYS` or `DAYS:SECONDS`; `EdgeCnnError` for anything else."""
        days, colon, seconds = text.partition(":")
        try:
            return cls(float(days), float(seconds)) if colon else cls(float(days))
        except ValueError:
            raise EdgeCnnError(
                f"--alarm {text}: it is days without a false alarm, such as 30; 30:60 looks at a "
                "minute at a time."
            ) from None

    @property
    def windows(self) -> float:
        """As many windows as there are in those days."""
        return self.days * DAY_S / self.window_s


class Watch:
    """Follows one stream.

    Raises `TooFewPictures` where there are too few held-out pictures to know what is usual.
    """

    def __init__(self, usual: Usual, head: Head, options: AlarmOptions) -> None:
        self._head = head
        self._window_s = options.window_s
        self._usual = {
            name: signal for name, signal in SIGNALS.items() if signal[0] in usual.measures
        }
        each = DOUBT / (len(self._usual) + 1)
        self._limit = options.windows * (len(self._usual) + 1)
        count = len(usual.measures["brightness"])
        k = Rank.of(RARE, count).k
        self._thresholds = np.array(
            [usual.measures[m][-k if high else k - 1] for m, high in self._usual.values()]
        )
        self._signs = np.array([-1 if high else 1 for _, high in self._usual.values()])
        # In how many pictures a signal is that k of n are on the edge of: Beta(k, n + 1 - k).
        bound = beta_quantile(k, count + 1 - k, 1 - each)
        self._shares = Shares(np.full(len(self._usual), bound), self._limit)
        self._labels = None
        if len(usual.said):
            bounds = [upper_bound(n, count, each / len(usual.said)) for n in usual.said.tolist()]
            self._labels = Labels(np.array(bounds), self._limit)
        self._view = View()
        self._evidence = np.zeros(len(self._usual) + 1)
        self._raised = np.zeros(len(self._evidence), bool)
        self._window: int | None = None
        self._signals: list[NDArray[np.bool_]] = []
        self._label: int | None = None
        self._moved = False
        self._next = -math.inf
        self._alarm: Alarm | None = None

    def __call__(self, prediction: Prediction, image: NDArray[np.uint8], clock: float) -> Alarm:
        """The state after one more frame, with the network's input `(height, width, channels)`.

        `clock` is the frame's time in seconds, on a clock that nobody sets.
        """
        if prediction.outputs is None:
            raise ValueError("An alarm needs what the engine gave.")
        if clock < self._next and self._alarm is not None:
            return self._alarm
        self._next = clock + SAMPLE_S
        window, phase = divmod(clock, self._window_s)
        if self._window is not None and window != self._window:
            self._moved = self._view.moved()
            if self._signals:
                self.conclude(np.mean(self._signals, axis=0), self._label)
                self._signals.clear()
        self._window = int(window)
        self._view.add(image)
        if phase >= self._window_s / 2:
            if self._labels is not None:
                self._label = int(self._head.decide(prediction.outputs))
            said = saying(prediction.outputs, self._head, prediction.familiarity)
            self._signals.append(self.signals(look(image) | said))
        return self._state(prediction.captured_at)

    def signals(self, measures: Mapping[str, float]) -> NDArray[np.bool_]:
        """Which signals a frame shows, by its looks and by what was said of it."""
        values = np.array([measures[measure] for measure, _ in self._usual.values()])
        return np.asarray((values - self._thresholds) * self._signs < 0)

    def conclude(self, shares: NDArray[np.float64], label: int | None) -> None:
        """The end of a window: in what share of its second half each signal was, and one answer."""
        self._evidence[:-1] = self._shares.add(shares)
        if self._labels is not None and label is not None:
            self._evidence[-1] = self._labels.add(label)
        # What was raised stays until nothing speaks for it any more.
        calm = np.append(self._shares.calm(), self._evidence[-1] < 1)
        self._shares.forget((self._raised & calm)[:-1])
        self._raised = np.where(self._raised, ~calm, self._evidence >= self._limit)

    @property
    def raised(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What speaks against the camera, and what against the scene, of what is tested."""
        names = (*self._usual, OTHER_LABELS)
        up = [name for name, raised in zip(names, self._raised, strict=True) if raised]
        scene = tuple(name for name in up if name in SCENE)
        camera = tuple(name for name in up if name not in SCENE)
        if scene and not camera:
            likely = self._limit**SUSPICION
            found = zip(names, self._evidence.tolist(), strict=True)
            camera = tuple(n for n, evidence in found if n not in SCENE and evidence >= likely)
        return camera, scene

    def _state(self, captured_at: float) -> Alarm:
        camera, scene = self.raised
        if self._view.frozen:
            camera = (*camera, "frozen")
        if self._moved and not camera:
            camera = ("moved",)
        found = Alarm("none", (), captured_at)
        if camera or scene:
            found = Alarm("camera" if camera else "scene", camera or scene, captured_at)
        if self._alarm is None or (found.kind, found.why) != (self._alarm.kind, self._alarm.why):
            self._alarm = found
        return self._alarm
