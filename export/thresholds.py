"""What each threshold buys: how often a label that is said is right, and how often it is found."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgecnn.binomial import interval
from edgecnn.confusion import Confusion
from edgecnn.export.accuracy import Probabilities, Truths
from edgecnn.head import Head

THRESHOLDS = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
Marks = NDArray[np.bool_]


@dataclass(frozen=True)
class Share:
    """`hits` of `count`, with its exact 95% interval."""

    hits: int
    count: int

    @property
    def value(self) -> float | None:
        """None of none."""
        return self.hits / self.count if self.count else None

    def to_json(self) -> dict[str, Any]:
        """As in `evaluate --json`."""
        found = {"hits": self.hits, "count": self.count, "value": self.value}
        return found | ({"interval": list(interval(self.hits, self.count))} if self.count else {})


@dataclass(frozen=True)
class Judged:
    """What was said of one label, or of all together."""

    precision: Share
    """Of the times it was said, those in which it was right."""
    recall: Share
    """Of the times it was true, those in which it was said."""

    @classmethod
    def of(cls, said: Marks, true: Marks) -> Self:
        """Of any shape, where it was said and where it is true."""
        both = int((said & true).sum())
        return cls(Share(both, int(said.sum())), Share(both, int(true.sum())))

    def to_json(self) -> dict[str, Any]:
        """As in `evaluate --json`."""
        return {"precision": self.precision.to_json(), "recall": self.recall.to_json()}


@dataclass(frozen=True)
class Thresholds:
    """What labelled pictures say of thresholds."""

    at: dict[float, Judged]
    """All labels together, by `run --threshold`."""
    labels: dict[str, Judged]
    """Each label as it is said without a threshold of one's own."""
    confusion: Confusion | None
    """None where any number of labels may hold."""

    @classmethod
    def of(
        cls, values: Probabilities, classes: Truths, labels: tuple[str, ...], head: Head
    ) -> Self:
        """Of calibrated probabilities (count, outputs) and what is true."""
        names = head.names(labels)
        # With yes or no, what is found or missed is the yes.
        judged = names[1:] if head.kind == "binary" else names
        true = _marks(classes, head, values.shape[1])
        said = _marks(head.decide(values), head, values.shape[1])
        confusion = None
        if head.kind != "sigmoid":
            confusion = Confusion.of(classes, head.decide(values), names)
        return cls(
            {
                t: Judged.of(_at(values, t, head), true)
                for t in THRESHOLDS
                # Without a threshold only the best label is said, where one must hold.
                if t or head.kind == "softmax"
            },
            {name: Judged.of(said[:, i], true[:, i]) for i, name in enumerate(judged)},
            confusion,
        )

    def to_json(self) -> dict[str, Any]:
        """As in `evaluate --thresholds --json`."""
        return {
            "at": [{"threshold": t} | judged.to_json() for t, judged in self.at.items()],
            "labels": {name: judged.to_json() for name, judged in self.labels.items()},
            "confusions": None if self.confusion is None else self.confusion.counts.tolist(),
        }


def _marks(classes: Any, head: Head, outputs: int) -> Marks:
    """Class numbers, or a bool for each label, as a bool for each output."""
    if head.kind == "softmax":
        return np.asarray(np.asarray(classes)[:, None] == np.arange(outputs))
    return np.asarray(classes, bool).reshape(-1, outputs)


def _at(values: Probabilities, threshold: float, head: Head) -> Marks:
    """What is said with a threshold for all labels."""
    if head.kind == "softmax":
        return _marks(head.decide(values), head, values.shape[1]) & (values >= threshold)
    return np.asarray(values >= threshold)
