"""All that leaves `targets/`: what the network said about a frame, and when."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
        return {
            "frame": self.frame,
            "captured_at": self.captured_at,
            **top[0],
            "top": top,
            "latency_ms": {k: round(v, 3) for k, v in vars(self.latency_ms).items()},
            "dropped": self.dropped,
        }
