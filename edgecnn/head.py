"""The head: what the numbers that a network ends in mean.

| kind | the network gives | the labels |
|---|---|---|
| `softmax` | probabilities that sum to one | exactly one holds |
| `sigmoid` | a probability for each label | each holds or not, on its own |
| `binary` | one probability | two, the first for 0, the second for 1; or one, that holds or not |
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from edgecnn.errors import BundleError

Kind = Literal["softmax", "sigmoid", "binary"]
KINDS: tuple[Kind, ...] = get_args(Kind)
THRESHOLD = 0.5


@dataclass(frozen=True)
class Head:
    """What a network's outputs mean, and from which probability on a label holds."""

    kind: Kind = "softmax"
    thresholds: tuple[float, ...] = ()
    """One per output, of `sigmoid` and `binary`; none for `softmax`."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BundleError(f"Unknown head '{self.kind}': known are {', '.join(KINDS)}.")
        if not all(0 < threshold < 1 for threshold in self.thresholds):
            raise BundleError(f"A threshold lies between 0 and 1: {self.thresholds}.")

    @classmethod
    def of(cls, kind: Kind, outputs: int) -> Self:
        """With the usual threshold for each output."""
        return cls(kind, () if kind == "softmax" else (THRESHOLD,) * outputs)

    def with_threshold(self, threshold: float | None) -> Self:
        """The same with another threshold for every output; None changes nothing."""
        if threshold is None or self.kind == "softmax":
            return self
        return replace(self, thresholds=(threshold,) * len(self.thresholds))

    def check(self, labels: int) -> None:
        """Raise `BundleError` where this is no head of a network with so many labels."""
        if self.kind == "binary" and labels not in (1, 2):
            raise BundleError(f"The head 'binary' has one label or two, not {labels}.")
        expected = 0 if self.kind == "softmax" else self.outputs(labels)
        if len(self.thresholds) != expected:
            raise BundleError(
                f"The head '{self.kind}' of {labels} labels has {expected} thresholds, not "
                f"{len(self.thresholds)}."
            )

    def names(self, labels: Sequence[str]) -> tuple[str, ...]:
        """What can be answered, in the order of class numbers: `not X` comes before a lone `X`."""
        if self.kind == "binary" and len(labels) == 1:
            return f"not {labels[0]}", labels[0]
        return tuple(labels)

    def outputs(self, labels: int) -> int:
        """How many values a network with so many labels gives."""
        return 1 if self.kind == "binary" else labels

    def holds(self, values: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which of `(..., outputs)` reach their threshold; of `sigmoid` and `binary`."""
        return values >= np.asarray(self.thresholds, np.float32)

    def decide(self, values: NDArray[np.float32]) -> NDArray[Any]:
        """What `(..., outputs)` say: class numbers `(...)`, for `sigmoid` a bool for each label.

        The class number of `binary` is 0 or 1, also where there is one label.
        """
        if self.kind == "softmax":
            return np.asarray(values.argmax(axis=-1))
        holds = self.holds(values)
        return holds if self.kind == "sigmoid" else holds[..., 0].astype(np.int64)

    def margin(self, values: NDArray[np.float32]) -> float:
        """How sure `(outputs,)` is: of `softmax` the largest probability.

        Else how far the output nearest to its threshold is from it: 0 at the threshold, 1 where
        its probability is 0 or 1.
        """
        if self.kind == "softmax":
            return float(values.max())
        thresholds = np.asarray(self.thresholds, np.float32)
        room = np.where(values >= thresholds, 1 - thresholds, thresholds)
        return float((np.abs(values - thresholds) / room).min())

    def to_json(self) -> dict[str, Any]:
        """What the manifest says: `head` and, where there are any, `thresholds`."""
        found: dict[str, Any] = {"head": self.kind}
        return found | ({"thresholds": list(self.thresholds)} if self.thresholds else {})

    @classmethod
    def from_json(cls, manifest: dict[str, Any]) -> Self:
        """Read from a manifest; one without a head is of before there were any: softmax.

        Raises `BundleError` for what is no head.
        """
        try:
            return cls(manifest.get("head", "softmax"), tuple(manifest.get("thresholds", ())))
        except TypeError as error:
            raise BundleError(f"Unreadable thresholds: {error}.") from None


SOFTMAX = Head()
