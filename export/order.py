"""What is to be exported: the network, its pictures, and what was asked for."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from edgecnn.bundle import FORMATS
from edgecnn.calibration.calibration_set import CalibrationSet
from edgecnn.errors import UnknownName
from edgecnn.export.network import Network
from edgecnn.export.recipe import Recipe
from edgecnn.graph import Graph
from edgecnn.head import Head

Precision = Literal["int8", "fp16", "fp32"]


@dataclass(frozen=True)
class Settings:
    """What was asked for, beside the formats."""

    precision: Precision
    recipe: Recipe
    """The first that is tried, and without `max_drop` the only one."""
    max_drop: float | None
    """Top-1 that an artifact may lose, in percentage points."""
    explain_layers: bool
    verdict: bool
    """Whether int8 is measured against float on this machine."""

    def to_json(self) -> dict[str, Any]:
        """All of them, by name."""
        return asdict(self)


@dataclass(frozen=True)
class Order:
    """All that an artifact is made of: the same order gives the same artifacts."""

    network: Network
    pictures: CalibrationSet
    settings: Settings
    trained: Graph
    """As lowered from Keras, and ended by what makes probabilities."""
    graph: Graph
    """As deployed: folded."""
    labels: tuple[str, ...]
    head: Head
    added: str | None
    """The function that export added to the network's logits, if any: `softmax` or `sigmoid`."""


def checked(formats: Sequence[str]) -> tuple[str, ...]:
    """Names of formats in their usual order; `UnknownName` for any other word."""
    for name in formats:
        if name not in FORMATS:
            raise UnknownName("format", name, FORMATS)
    return tuple(name for name in FORMATS if name in formats)
