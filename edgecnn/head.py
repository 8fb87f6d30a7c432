"""The head: what the numbers that a network ends in mean.

| kind | the network gives | the labels |
|---|---|---|
| `softmax` | probabilities that sum to one | exactly one holds |
| `sigmoid` | a probability for each label | each holds or not, on its own |
| `binary` | one probability | two, the first for 0, the second for 1; or one, that holds or not |
"""

from dataclasses import dataclass
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

    def outputs(self, labels: int) -> int:
        """How many values a network with so many labels gives."""
        return 1 if self.kind == "binary" else labels

    def by_label(self, values: NDArray[np.float32], labels: int) -> NDArray[np.float32]:
        """The probability of each label `(..., labels)` from the network's `(..., outputs)`."""
        if self.kind == "binary" and labels == 2:
            return np.concatenate([1 - values, values], axis=-1)
        return values

    def to_json(self) -> dict[str, Any]:
        """What the manifest says: `head` and, where there are any, `thresholds`."""
        found: dict[str, Any] = {"head": self.kind}
        return found | ({"thresholds": list(self.thresholds)} if self.thresholds else {})

    @classmethod
    def from_json(cls, manifest: dict[str, Any]) -> Self:
        """Read from a manifest; one without a head is of before there were any: softmax."""
        return cls(manifest.get("head", "softmax"), tuple(manifest.get("thresholds", ())))
