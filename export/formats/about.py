"""What a model file says of itself, for whoever gets it without its bundle."""

import json
from dataclasses import dataclass

from edgecnn.bundle import Weights
from edgecnn.head import SOFTMAX, Head
from edgecnn.preprocessing import Preprocessing


@dataclass(frozen=True)
class About:
    """Written into every model file."""

    architecture: str
    precision: str
    weights: Weights
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    head: Head = SOFTMAX
    features: int = 0
    """How many are given beside the probabilities; see `edgecnn.export.features`."""

    @property
    def value_labels(self) -> tuple[str, ...]:
        """A label for each value that the network gives: of a binary head that of 1."""
        return self.labels[-1:] if self.head.kind == "binary" else self.labels

    def properties(self) -> dict[str, str]:
        """As names and texts, the common ground of all formats."""
        return {
            "edgecnn.architecture": self.architecture,
            "edgecnn.precision": self.precision,
            "edgecnn.weights": f"{self.weights.kind}: {self.weights.source}",
            "edgecnn.preprocessing": json.dumps(self.preprocessing.to_json()),
            "edgecnn.labels": "\n".join(self.labels),
            "edgecnn.head": self.head.kind,
        }
