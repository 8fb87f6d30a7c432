"""All that leaves `targets/`: what the network said about a frame, and when."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.targets.region import Region


@dataclass(frozen=True)
class Top:
    """One class and its probability."""

    label: str
    class_index: int
    probability: float


@dataclass(frozen=True)
class Latency:
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


@dataclass(frozen=True)
class Decision:
    """The label in force after a frame; see `edgecnn.targets.decisions`."""

    label: str
    """A class, or `unknown`."""
    class_index: int | None
    probability: float
    """That of the class after smoothing; for `unknown`, of the most probable one."""
    changed: bool
    """Whether it came into force with this frame."""
    since: float
    """Unix time of the frame with which it did."""


@dataclass(frozen=True)
class Prediction:
    """The answer for one frame; `top` is sorted, most probable first."""

    frame: int
    captured_at: float
    """Unix time of the capture."""
    top: tuple[Top, ...]
    latency_ms: Latency
    dropped: int = 0
    """Frames a live source delivered that were never looked at, since the last answer."""
    probabilities: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    decision: Decision | None = None
    """Where a `DecisionRule` was given."""
    region: Region | None = None
    """The part of the frame that was looked at; None: the whole."""

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.top[0].label

    @property
    def probability(self) -> float:
        """Its probability."""
        return self.top[0].probability

    def to_json(self) -> dict[str, Any]:
        """One line of `run --jsonl`."""
        top = [
            {
                "label": t.label,
                "class_index": t.class_index,
                "probability": round(t.probability, 6),
            }
            for t in self.top
        ]
        line = {
            "frame": self.frame,
            "captured_at": self.captured_at,
            **top[0],
            "top": top,
            "latency_ms": {k: round(v, 3) for k, v in vars(self.latency_ms).items()},
            "dropped": self.dropped,
        }
        if self.decision is not None:
            decided = asdict(self.decision)
            line["decision"] = decided | {"probability": round(self.decision.probability, 6)}
        return line
