"""All that leaves `targets/`: what the network said about a frame, and when.

Named tuples where they will do: a class of them is made in a seventh of the time of a dataclass,
which every start waits for.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from edgecnn.targets.region import Region


class Top(NamedTuple):
    """One class and its probability."""

    label: str
    class_index: int | None
    """Its place among the network's labels; None for the `not X` of a network that knows `X`."""
    probability: float


class Latency(NamedTuple):
    """Where a frame's time went, in milliseconds.

    `age` is the time from the frame's capture to the answer; `total` from asking for the frame
    to the answer.
    """

    capture: float
    preprocess: float
    inference: float
    postprocess: float
    total: float
    age: float


UNKNOWN = "unknown"
"""The label of a decision that nothing is probable enough for."""
NOTHING = "nothing"
"""What stands for labels that each hold or not, where none does."""


class Decision(NamedTuple):
    """The label in force after a frame; see `edgecnn.targets.live.decisions`."""

    label: str
    """A class, or `unknown`. Of labels that each hold or not the most probable that does, or
    `nothing`."""
    class_index: int | None
    probability: float
    """That of the class after smoothing; for `unknown` and `nothing`, of the most probable one."""
    changed: bool
    """Whether it came into force with this frame."""
    since: float
    """Unix time of the frame with which it did."""
    labels: tuple[str, ...] | None = None
    """Of labels that each hold or not (`sigmoid`): those in force, most probable first."""

    @property
    def answer(self) -> str:
        """What people are shown."""
        return self.label if self.labels is None else ", ".join(self.labels) or NOTHING

    def to_json(self) -> dict[str, Any]:
        """As in a line of `run --jsonl`; `labels` only where there are any number of them."""
        line = self._asdict() | {"probability": round(self.probability, 6)}
        if self.labels is None:
            del line["labels"]
        return line


class Alarm(NamedTuple):
    """Whether the stream is still like the held-out pictures; see `edgecnn.targets.live.alarm`."""

    kind: Literal["none", "camera", "scene"]
    why: tuple[str, ...]
    """`dark`, `glaring`, `covered`, `blurred`, `noisy`, `frozen`, `moved`: the camera's.
    `unsure`, `unfamiliar`, `other labels`: the scene's."""
    since: float
    """Unix time of the frame with which it came."""

    @property
    def text(self) -> str:
        """What people are shown; empty without an alarm."""
        return f"{self.kind}: {', '.join(self.why)}" if self.why else ""

    def to_json(self) -> dict[str, Any]:
        """As in a line of `run --jsonl`."""
        return {"kind": self.kind, "why": list(self.why), "since": self.since}


class Shadowed(NamedTuple):
    """What a candidate said beside this network so far; see `edgecnn.targets.live.shadow`."""

    bundle: str
    """The candidate: `Bundle.version`."""
    frames: int = 0
    """Frames that both looked at."""
    disagreements: int = 0
    """Of these, those on which they differ."""

    def counted(self, differs: bool) -> Self:
        """With one frame more."""
        return self._replace(frames=self.frames + 1, disagreements=self.disagreements + differs)

    def to_json(self) -> dict[str, Any]:
        """As in a line of `run --jsonl`."""
        return self._asdict()


@dataclass(frozen=True)
class Prediction:
    """The answer for one frame.

    `top` is sorted, most probable first; but of a network that answers yes or no (`binary`) the
    answer comes first, by the threshold, and of one that knows a single label `X` it may be
    `not X`.
    """

    frame: int
    captured_at: float
    """Unix time of the capture."""
    top: tuple[Top, ...]
    latency_ms: Latency
    dropped: int = 0
    """Frames a live source delivered that were never looked at, since the last answer."""
    failed: int = 0
    """Frames that the engine failed on, since the last answer."""
    held: tuple[Top, ...] | None = None
    """Of labels that each hold or not (`sigmoid`): all that do, most probable first."""
    probabilities: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    """Of every label, `(outputs,)`: calibrated, unless the engine's own were asked for."""
    possible: tuple[str, ...] | None = None
    """Where coverage was asked for: all labels that are possible, most probable first."""
    familiarity: float | None = None
    """Of pictures like the held-out ones at most this share is as unlike them, or more."""
    decision: Decision | None = None
    """Where a `DecisionRule` was given."""
    outputs: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    """The engine's own, `(outputs,)`."""
    alarm: Alarm | None = None
    """Where an alarm was asked for: its state."""
    shadow: Shadowed | None = None
    """Where a candidate runs beside: how often it differed so far."""
    region: Region | None = None
    """The part of the frame that was looked at; None: the whole."""

    @property
    def label(self) -> str:
        """The answer: the most probable class, or what the threshold says of two.

        Of labels that each hold or not the most probable one, whether it holds or not.
        """
        return self.top[0].label

    @property
    def probability(self) -> float:
        """Its probability."""
        return self.top[0].probability

    @property
    def labels(self) -> tuple[str, ...]:
        """What holds, most probable first: one label, or with `sigmoid` any number of them."""
        return (self.label,) if self.held is None else tuple(top.label for top in self.held)

    @property
    def unknown(self) -> bool:
        """Whether no label is possible, of those of which one must hold."""
        return self.possible == () and self.held is None

    @property
    def answer(self) -> str:
        """What people are shown."""
        if self.possible is not None and self.held is None:
            return " or ".join(self.possible) or UNKNOWN
        return ", ".join(self.labels) or NOTHING

    def to_json(self) -> dict[str, Any]:
        """One line of `run --jsonl`.

        `labels` only where any number of them may hold, `failed` only where a frame did.
        """
        top = [
            {
                "label": t.label,
                "class_index": t.class_index,
                "probability": round(t.probability, 6),
            }
            for t in self.top
        ]
        line: dict[str, Any] = {
            "frame": self.frame,
            "captured_at": self.captured_at,
            **top[0],
            "top": top,
            "latency_ms": {k: round(v, 3) for k, v in self.latency_ms._asdict().items()},
            "dropped": self.dropped,
        }
        if self.failed:
            line["failed"] = self.failed
        if self.held is not None:
            line["labels"] = list(self.labels)
        if self.possible is not None:
            line["possible"] = list(self.possible)
        if self.familiarity is not None:
            line["familiarity"] = round(self.familiarity, 4)
        if self.alarm is not None:
            line["alarm"] = self.alarm.to_json()
        if self.shadow is not None:
            line["shadow"] = self.shadow.to_json()
        if self.decision is not None:
            line["decision"] = self.decision.to_json()
        return line
