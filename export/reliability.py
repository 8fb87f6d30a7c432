"""What an artifact's probabilities mean: measured, and fitted, on held-out pictures."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgecnn.bundle import Bundle
from edgecnn.export.accuracy import Probabilities, Rows, Truths
from edgecnn.export.held_out import HeldOut
from edgecnn.file_array import by_blocks
from edgecnn.head import Head
from edgecnn.neighbours import Neighbours
from edgecnn.npz import read_arrays
from edgecnn.reliability import FILE, Basis, Reliability, log_odds, of_each, prominence, tempered
from edgecnn.spread import NORMAL_975
from edgecnn.usual import Usual

BINS = 15
DRAWS = 400
FEWEST = 50
"""Labelled pictures that a temperature is fitted to."""
FOLDS = 5
COLDEST, HOTTEST = 0.05, 20.0
NEAR = 1e-3
"""Of the temperature's logarithm."""
GOLDEN = (math.sqrt(5) - 1) / 2

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Claims:
    """What an artifact claims, and how often it is right, one row for each thing it says.

    Of `softmax` a row is a picture and its best label; of `binary` a picture and its answer; of
    `sigmoid` a row is each of a picture's labels and whether it holds.
    """

    confidence: Numbers
    """(pictures, claims)"""
    right: NDArray[np.bool_]
    """Likewise."""

    @classmethod
    def of(cls, values: Rows, classes: Truths, head: Head) -> Self:
        """Of probabilities (count, outputs) and what is true."""
        if head.kind == "sigmoid":
            return cls(
                by_blocks(lambda some: some.astype(float), values), np.asarray(classes, bool)
            )

        def surest(values: Probabilities) -> Numbers:
            each = of_each(values, head)
            return np.stack([each.max(axis=1).astype(float), each.argmax(axis=1)], axis=1)

        confidence, best = by_blocks(surest, values).T
        return cls(confidence[:, None], (best == classes)[:, None])


@dataclass(frozen=True)
class CalibrationError:
    """The expected calibration error: how far claims are from what comes true, on average.

    Over 15 bins of equal width, weighted by their claims (Guo et al., 2017). Of few pictures it is
    never 0, however true the probabilities are: `chance` says what that is.
    """

    error: float
    interval: tuple[float, float]
    """95%, by the standard error of a bootstrap over the pictures."""
    chance: float
    """What perfect probabilities like these would show on average, from so many pictures."""
    bins: tuple[tuple[int, float, float], ...]
    """Claims in each bin that has any, their mean confidence, and the share that came true."""

    @classmethod
    def of(cls, values: Rows, classes: Truths, head: Head) -> Self:
        """Of probabilities (count, outputs) and what is true."""
        return cls.of_claims(Claims.of(values, classes, head))

    @classmethod
    def of_claims(cls, claims: Claims) -> Self:
        """Likewise."""
        pictures, each = claims.confidence.shape
        place = np.minimum((claims.confidence * BINS).astype(int), BINS - 1)
        sums = np.zeros((3, pictures, BINS))
        rows = np.repeat(np.arange(pictures), each)
        for total, amount in zip(
            sums, (np.ones_like(place), claims.confidence, claims.right), strict=True
        ):
            np.add.at(total, (rows, place.ravel()), np.asarray(amount, float).ravel())
        gaps = sums[1] - sums[2]

        rng = np.random.default_rng(0)
        shares = np.full(pictures, 1 / pictures)
        # One after the other: all together would be hundreds of times as large as the pictures.
        draws = (rng.multinomial(pictures, shares) @ gaps for _ in range(DRAWS))
        drawn = np.array([np.abs(one).sum() for one in draws]) / (pictures * each)
        counts, confidences, rights = sums.sum(axis=1)
        bins = tuple(
            (int(n), float(c / n), float(r / n))
            for n, c, r in zip(counts, confidences, rights, strict=True)
            if n
        )
        error = float(np.abs(gaps.sum(axis=0)).sum() / (pictures * each))
        # Resampling adds noise, which an absolute value never cancels: only its spread is of use.
        room = NORMAL_975 * float(drawn.std())
        # The mean size of a normal variable: each bin's hits, were every claim as true as it says.
        doubt = (claims.confidence * (1 - claims.confidence)).ravel()
        spread = np.sqrt(np.bincount(place.ravel(), doubt, BINS))
        chance = float(spread.sum() * math.sqrt(2 / math.pi) / (pictures * each))
        return cls(error, (max(0.0, error - room), error + room), chance, bins)

    def to_json(self) -> dict[str, Any]:
        """As in the manifest and in `evaluate --json`."""
        return {
            "ece": self.error,
            "ece_interval": list(self.interval),
            "ece_by_chance": self.chance,
        }


def temperature(values: Probabilities, wanted: Numbers, head: Head) -> float:
    """That with which probabilities (count, outputs) are likeliest to give the wanted ones.

    `wanted` is (count, outputs) too: 1 for what is true. A picture of every answer alike is added,
    so that a network which was never wrong does not become infinitely sure (as Platt, Probabilistic
    Outputs for Support Vector Machines, 1999).
    """
    answers = 2 if head.kind != "softmax" else values.shape[1]
    doubt = 1 / (len(values) + 1)
    wanted = (1 - doubt) * wanted + doubt / answers

    logits = log_odds(values, head).astype(float)
    gained = float((wanted * logits).sum())

    def surprise(logarithm: float) -> float:
        # The logarithms of what is claimed are scaled logits less what makes them sum to one.
        scaled = logits / math.exp(logarithm)
        if head.kind != "softmax":
            return float(np.logaddexp(0, scaled).sum()) - gained / math.exp(logarithm)
        top = scaled.max(axis=1, keepdims=True)
        whole = np.log(np.exp(scaled - top).sum(axis=1)) + top[:, 0]
        return float(whole.sum()) - gained / math.exp(logarithm)

    return math.exp(_lowest(surprise, math.log(COLDEST), math.log(HOTTEST)))


def _lowest(value: Callable[[float], float], low: float, high: float) -> float:
    """Where a function with a single valley is lowest: Kiefer's golden section search, 1953."""
    a, b = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_a, at_b = value(a), value(b)
    while high - low > NEAR:
        if at_a < at_b:
            high, b, at_b = b, a, at_a
            at_a = value(a := high - GOLDEN * (high - low))
        else:
            low, a, at_a = a, b, at_b
            at_b = value(b := low + GOLDEN * (high - low))
    return (low + high) / 2


@dataclass(frozen=True)
class Fitted:
    """A reliability, and the errors before and after."""

    reliability: Reliability
    usual: Usual
    details: dict[str, Any]
    """As it stands in the manifest, with the artifact."""

    @classmethod
    def of(
        cls,
        held_out: HeldOut,
        values: Probabilities,
        head: Head,
        features: NDArray[np.float32] | None = None,
        neighbours: Neighbours | None = None,
    ) -> Self:
        """From an artifact's answers on held-out pictures, and its features where it gives any.

        The error after is cross-validated: no picture is judged by a temperature that it had a
        part in.
        """
        expected, classes = held_out.expected, held_out.truths
        labelled = classes is not None and len(classes) >= FEWEST
        wanted = (
            _wanted(classes, values.shape[1], head)
            if classes is not None and labelled
            else expected.astype(float)
        )
        basis: Basis = "labels" if labelled else "float network"
        found = temperature(values, wanted, head)
        reliability = Reliability(
            found,
            basis,
            *_true(values, classes, head),
            familiar=np.sort(_familiar(values, head, features, neighbours)),
            neighbours=neighbours,
            answered=head.decide(values).astype(np.int32)
            if classes is not None and head.kind != "sigmoid"
            else np.empty(0, np.int32),
        )
        details: dict[str, Any] = {
            "temperature": found,
            "basis": basis,
            "count": len(values),
            "labelled": len(reliability.true),
        }
        if classes is not None and labelled:
            before = CalibrationError.of(values, classes, head)
            after = CalibrationError.of(_cross_fitted(values, wanted, head), classes, head)
            details |= {
                "raw": before.to_json() | {"bins": before.bins},
                "calibrated": after.to_json() | {"bins": after.bins},
            }
        return cls(reliability, Usual.of(held_out.images, values, head, reliability), details)


def keep(folder: Path, fitted: dict[str, Fitted], kept: Bundle | None) -> None:
    """Write what `Reliability.load` reads, with what an earlier export says of artifacts `kept`."""
    arrays: dict[str, Any] = {}
    if kept is not None and kept.answers is not None:
        arrays |= read_arrays(kept.answers)
    for name, found in fitted.items():
        arrays |= found.reliability.arrays(name) | found.usual.arrays(name)
    np.savez_compressed(folder / FILE, **arrays)


def _wanted(classes: Truths, outputs: int, head: Head) -> Numbers:
    if head.kind == "softmax":
        return np.eye(outputs)[classes]
    return np.asarray(classes, float).reshape(len(classes), outputs)


def _cross_fitted(values: Probabilities, wanted: Numbers, head: Head) -> Probabilities:
    found = np.empty_like(values)
    fold = np.random.default_rng(0).permutation(len(values)) % FOLDS
    for number in range(FOLDS):
        own = fold == number
        found[own] = tempered(values[own], temperature(values[~own], wanted[~own], head), head)
    return found


def _familiar(
    values: Probabilities,
    head: Head,
    features: NDArray[np.float32] | None,
    neighbours: Neighbours | None,
) -> Probabilities:
    # One by one, as on a board: equal to the last bit.
    if features is not None and neighbours is not None:
        return np.array([neighbours.nearness(one) for one in features], np.float32)
    if head.kind == "softmax":
        return np.array([prominence(log_odds(one, head)) for one in values], np.float32)
    return np.empty(0, np.float32)


def _true(
    values: Probabilities, classes: Truths | None, head: Head
) -> tuple[Probabilities, NDArray[np.int32]]:
    """The probability of what is true, and which class that is, as `Reliability` keeps them."""
    if classes is None:
        return np.empty(0, np.float32), np.empty(0, np.int32)
    if head.kind == "sigmoid":
        lowest = np.where(classes, values, 1).min(axis=1).astype(np.float32)
        return lowest, np.full(len(values), -1, np.int32)
    own = of_each(values, head)[np.arange(len(classes)), classes]
    return own.astype(np.float32), np.asarray(classes, np.int32)
