"""What a format is: a module that writes it, and reads from a file what became of the integers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgecnn.export.formats.about import About
from edgecnn.export.quantised import Quantised
from edgecnn.graph import Graph

CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE", "QuantizeLinear", "DequantizeLinear"})


@dataclass(frozen=True)
class ComputedIn:
    """How many operators compute in integers, and which do not."""

    int8_ops: int
    float_op_names: tuple[str, ...]

    @property
    def float_ops(self) -> int:
        """Number of operators that compute in float."""
        return len(self.float_op_names)


class Format(Protocol):
    """A format of model files; its files are named in `edgecnn.bundle.MODEL_FILES`."""

    def write(
        self,
        graph: Graph,
        quantised: Quantised | None,
        folder: Path,
        *,
        half: bool = False,
        about: About | None = None,
    ) -> None:
        """Write the format's files into a folder: what `quantised` says, else in float.

        With `half`, weights are stored as float16.
        """
        ...

    def audit(self, folder: Path) -> ComputedIn:
        """What really runs in int8 here, of the artifact in a folder."""
        ...
