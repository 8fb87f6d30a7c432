"""Comparing two networks' answers on the same pictures.

What a picture shows is in every function a class number `(count,)`, or for a `sigmoid` head a bool
for each label `(count, labels)`: see `edgecnn.pictures.truths`. A `binary` head answers class 1
where it reaches its threshold.
"""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgecnn.file_array import FileArray, by_blocks
from edgecnn.head import SOFTMAX, Head

Probabilities = NDArray[np.float32]
"""What the network gives, (count, outputs)."""
Rows = Probabilities | FileArray
"""The same, in memory or not."""
Truths = NDArray[np.integer[Any]] | NDArray[np.bool_]

RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Accuracy:
    """How often the right class is first, and among the first five; fractions.

    With a `sigmoid` head `top1` counts the pictures all of whose labels are decided rightly, and
    `top5` those whose labels are all among the first five. With a `binary` head `top5` is 1.
    """

    top1: float
    top5: float
    labels: float | None = None
    """With a `sigmoid` head, how many of all decisions, one for each picture and label, are right.
    """
    f1: float | None = None
    """With a `binary` head of class 1, with a `sigmoid` head the mean over the labels; without
    those that neither a picture nor an answer has. None if that leaves none."""

    @classmethod
    def of(cls, probabilities: Rows, classes: Truths, *, head: Head = SOFTMAX) -> Self:
        """Over pictures of which is known what they show."""
        if head.kind == "softmax":
            hits = by_blocks(lambda p, c: _best(p)[:, :5] == c[:, None], probabilities, classes)
            return cls(float(hits[:, 0].mean()), float(hits.any(axis=1).mean()))
        decided = by_blocks(head.decide, probabilities)
        top1 = float(same(decided, classes).mean())
        if head.kind == "binary":
            return cls(top1, 1.0, None, _f1(decided[:, None] == 1, classes[:, None] == 1))
        beyond = by_blocks(_beyond_five, probabilities, classes)
        return cls(
            top1,
            float(1 - beyond.mean()),
            float((decided == classes).mean()),
            _f1(decided, classes == 1),
        )

    def to_json(self) -> dict[str, float]:
        """What there is with this head."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Agreement:
    """An artifact against the float network on pictures without labels."""

    count: int
    agreement_top1: float
    """Fraction of pictures on which both say the same class first; with a `sigmoid` head, on which
    they agree on every label."""
    max_abs_error: float
    mean_abs_error: float
    """Of the probabilities."""
    agreement_labels: float | None = None
    """With a `sigmoid` head, the fraction of decisions, one for each picture and label, that are
    the same."""

    @classmethod
    def of(cls, reference: Rows, artifact: Rows, *, head: Head = SOFTMAX) -> Self:
        """Both (count, outputs)."""
        error = by_blocks(_error, artifact, reference)
        ours, theirs = (by_blocks(head.decide, values) for values in (artifact, reference))
        return cls(
            len(reference),
            float(same(ours, theirs).mean()),
            float(error[:, 0].max()),
            float(error[:, 1].mean()),
            float((ours == theirs).mean()) if head.kind == "sigmoid" else None,
        )

    def to_json(self) -> dict[str, Any]:
        """What there is with this head."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Drop:
    """How much top-1 an artifact lost against the float network, in percentage points."""

    top1_drop: float
    interval: tuple[float, float]

    @classmethod
    def of(
        cls,
        reference: Rows,
        artifact: Rows,
        classes: Truths,
        *,
        head: Head = SOFTMAX,
    ) -> Self:
        """With a 95% interval from a paired bootstrap over the pictures."""
        lost = same(by_blocks(head.decide, reference), classes).astype(np.int64)
        lost -= same(by_blocks(head.decide, artifact), classes)
        # A resample of n pictures holds a multinomial number of those that got worse, stayed
        # and got better: the same bootstrap, without drawing n indices each time.
        shares = [np.mean(lost == value) for value in (-1, 0, 1)]
        draws = np.random.default_rng(0).multinomial(len(lost), shares, RESAMPLES)
        drops = 100.0 * (draws[:, 2] - draws[:, 0]) / len(lost)
        low, high = np.quantile(drops, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return cls(float(100.0 * lost.mean()), (float(low), float(high)))


def divergence(
    reference: Probabilities, artifact: Probabilities, *, head: Head = SOFTMAX
) -> NDArray[np.float64]:
    """Information that is lost of each picture's answer (Kullback-Leibler), in nats: (count,).

    Of independent labels the sum over all.
    """

    def lost(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
        least = np.finfo(np.float32).tiny
        found = p * np.log(np.maximum(p, least) / np.maximum(q, least))
        return np.asarray(found.sum(axis=1))

    p, q = (np.asarray(x, np.float64) for x in (reference, artifact))
    return lost(p, q) if head.kind == "softmax" else lost(p, q) + lost(1 - p, 1 - q)


def _best(probabilities: Probabilities) -> NDArray[np.intp]:
    """Places of the outputs, the largest first."""
    return np.argsort(-probabilities, axis=1, kind="stable")


def _beyond_five(probabilities: Probabilities, classes: Truths) -> NDArray[np.bool_]:
    """Of which pictures a label that holds is not among the first five, (count, 1)."""
    rest = np.take_along_axis(classes, _best(probabilities)[:, 5:], axis=1)
    return np.asarray(rest.any(axis=1, keepdims=True))


def _error(artifact: Probabilities, reference: Probabilities) -> NDArray[np.float64]:
    """The largest and the mean one of each picture, (count, 2)."""
    error = np.abs(artifact - reference)
    return np.stack([error.max(axis=1), error.mean(axis=1, dtype=np.float64)], axis=1)


def same(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
    """On which pictures two are alike, in every label if there are several."""
    same = np.equal(a, b)
    return np.asarray(same.all(axis=1)) if same.ndim == 2 else same


def _f1(decided: NDArray[np.bool_], true: NDArray[np.bool_]) -> float | None:
    """Mean over the columns of F1, the harmonic mean of precision and recall."""
    both = 2 * (decided & true).sum(axis=0)
    either = decided.sum(axis=0) + true.sum(axis=0)
    known = either > 0
    return float((both[known] / either[known]).mean()) if known.any() else None
