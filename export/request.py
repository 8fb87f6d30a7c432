"""What is to be exported: the network, its pictures, and what was asked for."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

from edgecnn.arguments import at_least, one_of, words
from edgecnn.bundle import FORMATS
from edgecnn.calibration.calibration_set import CalibrationSet
from edgecnn.errors import ExportError
from edgecnn.export.folding import fold, with_whole_zero_point
from edgecnn.export.heads import with_head
from edgecnn.export.methods import METHODS, Method
from edgecnn.export.network import Network
from edgecnn.export.progress import ExportProgress
from edgecnn.export.qat.stored import read
from edgecnn.export.quantised import Quantised
from edgecnn.export.recipe import Recipe
from edgecnn.graph import Graph
from edgecnn.head import Head, Kind
from edgecnn.pictures import prepare

Precision = Literal["int8", "fp16", "fp32"]
WeightBits = Literal[7, 8]
FEW = 8
"""Pictures that show whether a network's answers are probabilities."""


@dataclass(frozen=True)
class Options:
    """What was asked for, beside the formats."""

    precision: Precision
    recipe: Recipe
    """The first that is tried, and without `max_drop` the only one."""
    max_drop: float | None
    """Top-1 that an artifact may lose, in percentage points."""
    explain_layers: bool
    verdict: bool
    """Whether int8 is measured against float on this machine."""
    features: bool
    """Whether the artifacts give features beside the probabilities."""

    @classmethod
    def of(
        cls,
        precision: Precision,
        method: Method,
        weight_bits: WeightBits,
        *,
        symmetric: bool,
        max_drop: float | None,
        explain_layers: bool,
        verdict: bool,
        features: bool,
    ) -> Self:
        """What was asked for; raises `UnknownName` or `EdgeCnnError` for what there is not."""
        one_of("precision", precision, get_args(Precision))
        one_of("method", method, METHODS)
        if weight_bits not in get_args(WeightBits):
            raise ExportError(f"weight_bits must be 7 or 8, not {weight_bits!r}.")
        if max_drop is not None:
            at_least("max_drop", max_drop, 0, whole=False)
        recipe = Recipe(method, weight_bits=weight_bits, symmetric=symmetric)
        return cls(precision, recipe, max_drop, explain_layers, verdict, features)

    def to_json(self) -> dict[str, Any]:
        """All of them, by name."""
        return asdict(self)


@dataclass(frozen=True)
class Request:
    """All that an artifact is made of: the same request gives the same artifacts."""

    network: Network
    pictures: CalibrationSet
    options: Options
    trained: Graph
    """As lowered from Keras, and ended by what makes probabilities."""
    graph: Graph
    """As deployed: folded."""
    labels: tuple[str, ...]
    head: Head
    added: str | None
    """The function that export added to the network's logits, if any: `softmax` or `sigmoid`."""
    integers: Quantised | None = None
    """Those that quantisation-aware training found, where they are what was asked for."""

    @classmethod
    def of(
        cls,
        network: Network,
        pictures: CalibrationSet,
        options: Options,
        head: Kind | None,
        progress: ExportProgress,
    ) -> Self:
        """Decide what the network's outputs mean, and fold it."""
        trained, meaning, note = with_head(network.graph, head)
        if note is not None:
            # What its layers do not show, its answers may: an average of two networks, say.
            few = prepare(pictures.held_out[:FEW], network.preprocessing)
            trained, meaning, note = with_head(network.graph, head, network.answers(few))
        if note is not None:
            progress.note(note)
        last = trained[trained.output]
        labels = network.labels_for(last.elements, meaning.kind == "binary")
        added = None
        if network.graph.output != trained.output and last.op != "reshape":
            added = "softmax" if last.op == "softmax" else "sigmoid"
        graph = fold(trained, network.preprocessing)
        integers = None
        if network.checkpoint is not None and network.checkpoint.integers is not None:
            if options.precision == "int8" and options.recipe == Recipe():
                integers = read(network.checkpoint, with_whole_zero_point(graph))
            elif options.precision == "int8":
                progress.note(
                    f"{network.checkpoint.path} holds trained integers, which are left aside: they "
                    "are 8-bit weights and asymmetric activations, of ranges of their own."
                )
        return cls(network, pictures, options, trained, graph, labels, meaning, added, integers)


def checked(formats: str | Sequence[str]) -> tuple[str, ...]:
    """Names of formats, or one, in their usual order; `UnknownName` for any other word."""
    formats = words(formats)
    for name in formats:
        one_of("format", name, FORMATS)
    if not formats:
        raise ExportError(f"Name at least one format: {', '.join(FORMATS)}.")
    return tuple(name for name in FORMATS if name in formats)
