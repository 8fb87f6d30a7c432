"""What an artifact's answers are worth, as held-out pictures taught at export.

A probability of 0.9 should be right in nine of ten pictures. That of a network mostly is not, and
int8 changes it once more: so it is measured for each artifact, and put right by one number, the
temperature (Guo et al., On Calibration of Modern Neural Networks, 2017). It changes no order, so
that the answer stays the same.

What is promised beside it rests on ranks among the held-out pictures alone (Vovk, Gammerman and
Shafer, Algorithmic Learning in a Random World, 2005; Angelopoulos and Bates, A Gentle Introduction
to Conformal Prediction, 2021), and on the engine's own probabilities: nothing fitted to the same
pictures is in between, so that the promises are exact for pictures like these.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from edgecnn.binomial import beta_quantile
from edgecnn.bundle import Bundle
from edgecnn.errors import BundleError, EdgeCnnError
from edgecnn.head import Head
from edgecnn.neighbours import Neighbours
from edgecnn.npz import read_arrays

FILE = "answers.npz"
Basis = Literal["labels", "float network"]
Values = NDArray[np.float32]
TINY = 1e-7
"""How near to 0 and 1 the probability of a label that holds or not is told apart."""
SMALLEST = np.array(np.finfo(np.float32).tiny)
ROUNDING = 1e-5
"""By so small a part the scores of one picture may differ from processor to processor."""
SHARES = (0.90, 0.95, 0.99)
"""Of coverage, that reports speak of."""
SPREAD = 0.90
"""How many of all sets of held-out pictures keep a promise within what is stated."""


def log_odds(values: Values, head: Head) -> Values:
    """Logits that give these probabilities `(..., outputs)`; of `softmax` the largest is 0."""
    if head.kind == "softmax":
        logits = np.maximum(values, SMALLEST)
        np.log(logits, out=logits)
        one = logits.ndim == 1  # in every frame's way, and several times as fast
        logits -= logits[logits.argmax()] if one else logits.max(axis=-1, keepdims=True)
        return logits
    inside = np.clip(values, TINY, 1 - TINY)
    return np.log(inside) - np.log1p(-inside)


def tempered(values: Values, temperature: float, head: Head) -> Values:
    """Probabilities `(..., outputs)` after their logits are divided by a temperature."""
    return _cooled(log_odds(values, head), np.float32(1 / temperature), head)


def _cooled(logits: Values, factor: Any, head: Head) -> Values:
    """Probabilities of `logits` times a factor, in their place."""
    if head.kind == "softmax":
        logits *= factor
        np.exp(logits, out=logits)
        total = logits.dot(_every(1, logits.shape[-1]))
        logits /= total if logits.ndim == 1 else total[..., None]
        return logits
    logits *= -factor
    np.exp(logits, out=logits)
    logits += 1
    return np.reciprocal(logits, out=logits)


def prominence(logits: Values) -> Values:
    """How far the best logit stands out of the mean one, `(...)` of `softmax`'s `(..., outputs)`.

    The largest logit (Hendrycks et al., Scaling Out-of-Distribution Detection for Real-World
    Settings, 2022), as far as probabilities still tell it.
    """
    found: Values = logits.dot(_every(-1 / logits.shape[-1], logits.shape[-1]))
    return found


@cache
def _every(value: float, count: int) -> Values:
    """The same value many times. A product with it is a sum that touches a third of what numpy's
    own does, which counts where an engine has just left none of that in the processor's cache.
    """
    return np.full(count, value, np.float32)


def of_each(values: Values, head: Head) -> Values:
    """The probability of each answer, `(..., answers)`: of `binary` that of no, then of yes."""
    return np.concatenate([1 - values, values], axis=-1) if head.kind == "binary" else values


class Rank(NamedTuple):
    """The k-th lowest of n scores: a picture like them is below it in less than k of n + 1 cases.

    Exactly so, whatever the scores are distributed like. Of all sets of n pictures like these,
    `SPREAD` give a share of pictures at or above it that lies in `interval`.
    """

    k: int
    n: int

    @classmethod
    def of(cls, miss: float, n: int) -> Self:
        """That which at most a share `miss` of pictures is below; raises if n are too few."""
        k = math.floor(miss * (n + 1) + 1e-9)
        if k < 1:
            raise TooFewPictures(miss, n)
        return cls(k, n)

    @property
    def interval(self) -> tuple[float, float]:
        """A share of pictures at or above it: Beta(n + 1 - k, k)."""
        tail = (1 - SPREAD) / 2
        low, high = (beta_quantile(self.n + 1 - self.k, self.k, q) for q in (tail, 1 - tail))
        return low, high


def statement(share: float, labelled: int) -> str | None:
    """What coverage of that share promises with so many pictures; None where they are too few."""
    try:
        low, high = Rank.of(1 - share, labelled).interval
    except TooFewPictures:
        return None
    return (
        f"--coverage {share:.0%}: in at least {share:.0%} of pictures like the {labelled} held-out "
        f"ones the truth is among the labels named, over all such sets of {labelled}; "
        f"{SPREAD:.0%} of these sets give between {low:.1%} and {high:.1%}"
    )


class TooFewPictures(EdgeCnnError):
    """A promise that so few pictures cannot carry."""

    def __init__(self, miss: float, n: int, what: str = "") -> None:
        needed = math.ceil(1 / miss - 1 - 1e-9)
        super().__init__(
            f"A promise with an error of {miss:.2%} takes {needed} held-out pictures{what}, and "
            f"this bundle rests on {n}: ask for less, or export with more of them (--held-out)."
        )


@dataclass(frozen=True)
class Coverage:
    """Which labels are possible: those that hold the truth in a share of pictures."""

    share: float
    """Of pictures like the held-out ones in which the truth is among the labels."""
    each: bool = False
    """Whether of the pictures of every label, rather than of all together."""

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise EdgeCnnError(f"--coverage lies between 0 and 100%, not at {self.share:.0%}.")

    @classmethod
    def parse(cls, text: str) -> Self:
        """`95%`, `0.95` or `each:95%`; `EdgeCnnError` for anything else."""
        kind, _, amount = text.rpartition(":")
        share = parse_share(amount)
        if share is None or kind not in ("", "each"):
            raise EdgeCnnError(
                f"--coverage {text}: it is a share such as 95%, or each:95%, which holds for the "
                "pictures of every label."
            )
        return cls(share, kind == "each")


def parse_share(text: str) -> float | None:
    """`95%` or `0.95` as a fraction; None for anything else."""
    try:
        found = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None
    return found if 0 <= found <= 1 else None


@dataclass(frozen=True)
class Reliability:
    """What held-out pictures taught about one artifact."""

    temperature: float
    basis: Basis
    """What the temperature was fitted to: the pictures' labels, or where they have none, or too
    few, the float network's own probabilities."""
    true: Values
    """The engine's own probability of what each labelled picture shows, `(count,)`; where several
    labels hold the lowest, where none does 1."""
    classes: NDArray[np.int32]
    """What it shows, `(count,)`; -1 where any number of labels may hold."""
    familiar: Values
    """How familiar every held-out picture is, sorted: by its nearness to `neighbours`, else, of
    `softmax`, by its `prominence`; empty where there is neither."""
    neighbours: Neighbours | None = None
    """Calibration pictures, of an artifact that gives features."""
    answered: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    """The class it gave each labelled picture, beside `classes`; empty where any number of labels
    may hold, and in bundles of before."""

    @classmethod
    def load(cls, bundle: Bundle, format: str) -> Self | None:
        """That of a bundle's artifact; None where it was exported before there was any."""
        if bundle.answers is None:
            return None
        told: dict[str, Any] = bundle.artifacts[format].details.get("reliability", {})
        try:
            file = read_arrays(bundle.answers)
            return cls(
                float(told["temperature"]),
                told["basis"],
                file[f"{format}_true"],
                file["classes"],
                file[f"{format}_familiar"],
                Neighbours.read(file[f"{format}_neighbours"], bundle.features)
                if bundle.features
                else None,
                file.get(f"{format}_answered", np.empty(0, np.int32)),
            )
        except (KeyError, ValueError, TypeError) as error:
            raise BundleError(f"{bundle.answers} cannot be read: {error}. Export again.") from None

    def arrays(self, format: str) -> dict[str, NDArray[Any]]:
        """What `load` reads from the file."""
        found: dict[str, NDArray[Any]] = {
            f"{format}_true": self.true,
            f"{format}_familiar": self.familiar,
            f"{format}_answered": self.answered,
            "classes": self.classes,
        }
        if self.neighbours is not None:
            found[f"{format}_neighbours"] = self.neighbours.rows.astype(np.float16)
        return found

    def calibrated(self, values: Values, head: Head) -> Values:
        """Probabilities that mean what they say, of the engine's own `(..., outputs)`."""
        return tempered(values, self.temperature, head)

    def read(
        self, values: Values, head: Head, features: Values | None = None
    ) -> tuple[Values, float | None]:
        """Of one picture `(outputs,)`: `calibrated`, and how familiar it is, if that is known.

        The latter is a p-value, from 1 / (n + 1) to 1: of pictures like the held-out ones at most
        a share `x` gets `x` or less. `features`, `(features,)`, are those of a model that gives
        any.
        """
        # One logarithm for both, and few calls: this is in every frame's way.
        logits = log_odds(values, head)
        share = None
        if ranked := self._ranked:
            near = self.neighbours
            score = float(prominence(logits) if near is None else near.nearness(_given(features)))
            place = bisect_right(ranked, score + ROUNDING * abs(score))
            share = (1 + place) / (1 + len(ranked))
        return _cooled(logits, self._factor, head), share

    @cached_property
    def _factor(self) -> Any:
        return np.array(1 / self.temperature, np.float32)

    @cached_property
    def _ranked(self) -> list[float]:
        ranked: list[float] = self.familiar.tolist()
        return ranked

    def shares(self, scores: Values) -> NDArray[np.float64]:
        """The share of pictures that are as strange or stranger, of scores like `familiar`."""
        places = self.familiar.searchsorted(scores, side="right")
        return np.asarray((1 + places) / (1 + len(self.familiar)))

    def lowest(self, coverage: Coverage, names: tuple[str, ...]) -> Values:
        """From which probability on each answer is possible, `(answers,)` of the engine's own.

        Raises `TooFewPictures` where the promise cannot be kept, `EdgeCnnError` where there is
        none to keep.
        """
        miss = 1 - coverage.share
        if not len(self.true):
            raise EdgeCnnError(
                "--coverage needs to know what held-out pictures show, and this bundle has none "
                "with labels: export again with --held-out and a folder for each class."
            )
        if not coverage.each:
            kth = Rank.of(miss, len(self.true)).k
            return np.full(len(names), np.sort(self.true)[kth - 1], np.float32)
        if (self.classes < 0).any():
            raise EdgeCnnError(
                "--coverage each:... is for pictures that show one label each; here any number "
                "of them may hold: --coverage 95%."
            )
        found = np.empty(len(names), np.float32)
        for index, name in enumerate(names):
            own = np.sort(self.true[self.classes == index])
            try:
                found[index] = own[Rank.of(miss, len(own)).k - 1]
            except TooFewPictures:
                raise TooFewPictures(miss, len(own), f" of '{name}'") from None
        return found

    def check_rejection(self, rate: float) -> None:
        """Raise `EdgeCnnError` where pictures cannot be rejected at that rate."""
        if not len(self.familiar):
            raise EdgeCnnError(
                "--reject needs a network that says one label of many, or one that gives its "
                "features: export with --features."
            )
        Rank.of(rate, len(self.familiar))


def _given(features: Values | None) -> Values:
    if features is None:
        raise ValueError("This artifact's reliability is of its features, and none are given.")
    return features
