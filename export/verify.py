"""Every artifact runs in its own engine, on pictures that calibration did not see."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from edgecnn.bundle import MODEL_FILES
from edgecnn.errors import ExportError
from edgecnn.export.accuracy import Accuracy, Comparison, Drop, Probabilities
from edgecnn.export.statistics import GraphRun
from edgecnn.graph import Graph
from edgecnn.preprocessing import Preprocessing
from edgecnn.targets import runtimes
from edgecnn.targets.session import Session

if TYPE_CHECKING:
    import keras

BATCH = 8
PREPROCESSING_MARGIN = 0.05
LOWERING_TOLERANCE = 1e-3
"""Folding is exact but for rounding: a probability that moves more than this is a bug."""


@dataclass(frozen=True)
class Verification:
    """What an artifact did on the held-out pictures."""

    comparison: Comparison
    reference_top1: float | None = None
    top1: float | None = None
    drop: Drop | None = None
    """The last three where the pictures have labels."""

    @property
    def points_lost(self) -> float:
        """Top-1 lost in percentage points; without labels, every disagreement counts as one."""
        if self.drop is not None:
            return self.drop.top1_drop
        return 100 * (1 - self.comparison.agreement_top1)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        found = asdict(self.comparison)
        if self.drop is not None:
            found |= {
                "reference_top1": self.reference_top1,
                "top1": self.top1,
                "top1_drop": self.drop.top1_drop,
                "top1_drop_interval": list(self.drop.interval),
            }
        return found

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """What `to_json` gave."""
        comparison = Comparison(**{field.name: data[field.name] for field in fields(Comparison)})
        if "top1_drop" not in data:
            return cls(comparison)
        drop = Drop(data["top1_drop"], tuple(data["top1_drop_interval"]))
        return cls(comparison, data["reference_top1"], data["top1"], drop)


def reference(
    model: "keras.Model", preprocessing: Preprocessing, images: NDArray[np.uint8]
) -> Probabilities:
    """What the Keras model says in float32, of uint8 pictures (count, H, W, C)."""
    batches = []
    for start in range(0, len(images), BATCH):
        result = model(preprocessing.normalise(images[start : start + BATCH]), training=False)
        # Of several outputs (auxiliary heads) the first is the network's.
        if isinstance(result, dict):
            result = next(iter(result.values()))
        elif isinstance(result, list | tuple):
            result = result[0]
        batches.append(np.asarray(result, np.float32))
    found = np.concatenate(batches)
    return found if _are_probabilities(found) else _softmax(found)


def _are_probabilities(values: Probabilities) -> bool:
    return bool(values.min() >= 0 and np.allclose(values.sum(axis=1), 1, atol=1e-3))


def _softmax(logits: Probabilities) -> Probabilities:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: Probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    return found


def check_lowering(graph: Graph, expected: Probabilities, images: NDArray[np.uint8]) -> None:
    """The folded float graph must say what Keras says; raises `ExportError` if not."""
    run = GraphRun(graph, ())
    for image, answer in zip(images, expected, strict=True):
        error = float(np.abs(run(image[None])[0] - answer).max())
        # NaN is no error smaller than the tolerance
        if not error <= LOWERING_TOLERANCE:
            raise ExportError(
                f"{graph.name}: the folded network is off by {error:.3g} from Keras before any "
                "quantisation. Its weights may hold NaN or overflow; otherwise this is a bug in "
                "export, please report it."
            )


def check_preprocessing(top1: float, count: int, trained_top1: float) -> None:
    """The float network must be as good on held-out pictures as training said.

    Agreement cannot tell a preprocessing that is wrong for float and int8 alike; labels can.
    Raises `ExportError` where the difference is no chance.
    """
    chance = 4 * (trained_top1 * (1 - trained_top1) / count) ** 0.5
    if top1 < trained_top1 - chance - PREPROCESSING_MARGIN:
        raise ExportError(
            f"In float the network gets {top1:.0%} of {count} held-out pictures right, and got "
            f"{trained_top1:.0%} in training: its preprocessing or labels are not those it was "
            "trained with."
        )


def open_artifact(format: str, folder: Path) -> Session:
    """The artifact of that format in a folder, in its own engine."""
    runtime = next(
        runtime for name in runtimes.RUNTIMES if (runtime := runtimes.get(name)).format == format
    )
    return runtime.open(folder / MODEL_FILES[format][0], os.cpu_count() or 1)


def verify(
    format: str,
    folder: Path,
    images: NDArray[np.uint8],
    expected: Probabilities,
    classes: NDArray[np.integer[Any]] | None,
    on_picture: Callable[[], None] = lambda: None,
) -> Verification:
    """Run an artifact on uint8 pictures (count, H, W, C) and compare it with Keras."""
    session = open_artifact(format, folder)
    answers = np.empty_like(expected)
    for answer, image in zip(answers, images, strict=True):
        answer[...] = session.infer(image[None])
        on_picture()
    comparison = Comparison.of(expected, answers)
    if classes is None:
        return Verification(comparison)
    return Verification(
        comparison,
        Accuracy.of(expected, classes).top1,
        Accuracy.of(answers, classes).top1,
        Drop.of(expected, answers, classes),
    )
