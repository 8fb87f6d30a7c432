"""Every artifact runs in its own engine, on pictures that calibration did not see."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgecnn.bundle import MODEL_FILES
from edgecnn.errors import ExportError
from edgecnn.export.accuracy import Accuracy, Agreement, Drop, Probabilities, Truths
from edgecnn.export.network import Network
from edgecnn.export.statistics import GraphRun
from edgecnn.file_array import Images
from edgecnn.graph import Graph
from edgecnn.head import Head
from edgecnn.parallel import cores
from edgecnn.targets.engines import runtimes
from edgecnn.targets.engines.session import Session

PREPROCESSING_MARGIN = 0.05
LOWERING_TOLERANCE = 1e-3
"""Folding is exact but for rounding: a probability that moves more than this is a bug."""
LARGEST_ERROR = {"fp32": 1e-3, "fp16": 0.1}
"""Of a probability, on any held-out picture."""
APART = 0.02
"""Mean error of a probability that one format may have more than another, beside four times it."""


@dataclass(frozen=True)
class Verification:
    """What an artifact did on the held-out pictures."""

    comparison: Agreement
    reference_top1: float | None = None
    top1: float | None = None
    drop: Drop | None = None
    """The last three where the pictures have labels."""
    answers: Probabilities | None = field(default=None, repr=False, compare=False)
    """What it gave, (count, outputs); None for an artifact of an earlier export."""
    features: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    """Likewise, (count, features), where it gives any."""

    @property
    def points_lost(self) -> float:
        """Top-1 lost in percentage points; without labels, every disagreement counts as one."""
        if self.drop is not None:
            return self.drop.top1_drop
        return 100 * (1 - self.comparison.agreement_top1)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        found = self.comparison.to_json()
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
        known: dict[str, Any] = {own.name: data.get(own.name) for own in fields(Agreement)}
        comparison = Agreement(**known)
        if "top1_drop" not in data:
            return cls(comparison)
        drop = Drop(data["top1_drop"], tuple(data["top1_drop_interval"]))
        return cls(comparison, data["reference_top1"], data["top1"], drop)


def reference(network: Network, images: Images, added: str | None = None) -> Probabilities:
    """What the Keras model says in float32, of uint8 pictures (count, H, W, C).

    Its own raw output; where export added a function to its logits, that of it, computed here.
    Raises `ExportError` for answers that are no numbers.
    """
    answers = network.answers(images)
    if not np.isfinite(answers).all():
        where = int(np.flatnonzero(~np.isfinite(answers).all(axis=1))[0])
        raise ExportError(
            f"{network.architecture} itself gives {answers[where].tolist()[:3]} in Keras for "
            f"picture {where} of {len(images)}: its weights hold NaN, or overflow."
        )
    if added == "softmax":
        answers = np.exp(answers - answers.max(axis=1, keepdims=True))
        answers = answers / answers.sum(axis=1, keepdims=True)
    elif added == "sigmoid":
        # As 1 / (1 + e^-x), without overflow at either end.
        answers = 0.5 * (1 + np.tanh(0.5 * answers))
    return answers.astype(np.float32)


def check_lowering(
    graph: Graph,
    expected: Probabilities,
    images: Images,
    on_picture: Callable[[], None] = lambda: None,
) -> None:
    """The folded float graph must say what Keras says; raises `ExportError` if not."""
    run = GraphRun(graph, ())
    for (found, _), answer in zip(run.over(images), expected, strict=True):
        error = float(np.abs(found - answer).max()) if found.shape == answer.shape else np.inf
        # NaN is no error smaller than the tolerance
        if not error <= LOWERING_TOLERANCE:
            raise ExportError(
                f"{graph.name}: the folded network is off by {error:.3g} from Keras before any "
                f"quantisation (Keras {_shown(answer)}, folded {_shown(found)}). Its weights may "
                "hold NaN, overflow, or blow up rounding by cancelling; otherwise this is an "
                "error in export, please report it."
            )
        on_picture()


def _shown(answer: NDArray[Any]) -> str:
    return ", ".join(f"{value:.4g}" for value in answer.ravel()[:3])


def check_half(graph: Graph) -> None:
    """Raise `ExportError` for a layer whose weights half precision cannot hold."""
    largest = float(np.finfo(np.float16).max)
    for op in graph:
        for values in op.weights.values():
            if values.size and float(np.abs(values).max()) > largest:
                raise ExportError(
                    f"'{op.name}' has weights of up to {np.abs(values).max():.3g}, and half "
                    f"precision overflows at {largest:.0f}: use --int8 or --fp32."
                )


def check_artifacts(found: dict[str, Verification], precision: str) -> None:
    """No artifact may give other answers than its precision explains.

    A format is also held to the others: they are written from the very same integers, so that one
    which departs from Keras far more than the best does is computed wrongly by its engine. Raises
    `ExportError` with what was seen and the way out.
    """
    errors = {name: verification.comparison for name, verification in found.items()}
    for name, comparison in errors.items():
        if not np.isfinite(comparison.max_abs_error):
            advice = "half precision overflows: use --int8 or --fp32."
            advice = advice if precision == "fp16" else "leave that format out."
            raise ExportError(f"{name} gives answers that are no numbers; {advice}")
        bound = LARGEST_ERROR.get(precision, np.inf)
        if comparison.max_abs_error > bound:
            raise ExportError(
                f"{name} is off from Keras by up to {comparison.max_abs_error:.3g} in {precision}, "
                f"more than {bound:g}: its engine computes this network otherwise. Leave that "
                f"format out{', or use --fp32' if precision == 'fp16' else ''}."
            )
    best = min(comparison.mean_abs_error for comparison in errors.values())
    for name, comparison in errors.items():
        if comparison.mean_abs_error > 4 * best + APART:
            raise ExportError(
                f"{name} is off from Keras by {comparison.mean_abs_error:.3f} on average, another "
                f"format of the same integers by {best:.3f}: its engine computes this network "
                "wrongly on this machine. Leave that format out (--format), or use --fp32."
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
    return runtime.open(folder / MODEL_FILES[format][0], cores())


def verify(
    session: Session,
    images: Images,
    expected: Probabilities,
    classes: Truths | None,
    head: Head,
    on_picture: Callable[[], None] = lambda: None,
) -> Verification:
    """Run an artifact on uint8 pictures (count, H, W, C) and compare it with Keras."""
    answers = np.empty_like(expected)
    features = None
    if session.features:
        features = np.empty((len(images), session.features), np.float32)
    for n, image in enumerate(images):
        answers[n] = session.infer(image[None], None if features is None else features[n])
        on_picture()
    comparison = Agreement.of(expected, answers, head=head)
    if classes is None:
        return Verification(comparison, answers=answers, features=features)
    return Verification(
        comparison,
        Accuracy.of(expected, classes, head=head).top1,
        Accuracy.of(answers, classes, head=head).top1,
        Drop.of(expected, answers, classes, head=head),
        answers,
        features,
    )
