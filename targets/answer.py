"""What a network's outputs say about one picture, by its head."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from edgecnn.bundle import Bundle
from edgecnn.errors import EdgeCnnError
from edgecnn.head import Head
from edgecnn.reliability import Coverage, Reliability, of_each, parse_share
from edgecnn.targets.prediction import Top

Outputs = NDArray[np.float32]
Answer = tuple[tuple[Top, ...], tuple[Top, ...] | None]
"""`top` and `held` of a `Prediction`."""
FEW = 8
"""So many are found one by one in less time than a thousand are sorted."""


@dataclass(frozen=True)
class AnswerOptions:
    """What is asked of answers, beside the label; see `edgecnn.reliability`."""

    raw: bool = False
    """The engine's own probabilities, as they are."""
    coverage: Coverage | None = None
    """Name all labels that are possible."""
    reject: float | None = None
    """Say `unknown` of pictures less familiar than all but this share of held-out ones."""

    def __post_init__(self) -> None:
        if self.reject is not None and not 0 < self.reject < 1:
            raise EdgeCnnError(f"--reject lies between 0 and 100%, not at {self.reject:.0%}.")

    @classmethod
    def parse(cls, raw: bool, coverage: str | None, reject: str | None) -> Self:
        """As the command line has them; raises `EdgeCnnError` for what is no share."""
        rate = None if reject is None else parse_share(reject)
        if reject is not None and rate is None:
            raise EdgeCnnError(f"--reject {reject}: it is a share such as 1%, or 0.01.")
        return cls(raw, None if coverage is None else Coverage.parse(coverage), rate)


class Said(NamedTuple):
    """All that is said of one picture, as in a `Prediction`."""

    probabilities: Outputs
    top: tuple[Top, ...]
    held: tuple[Top, ...] | None
    possible: tuple[str, ...] | None = None
    familiarity: float | None = None


def answerer(
    bundle: Bundle, format: str, head: Head, count: int, options: AnswerOptions
) -> Callable[[Outputs, Outputs | None], Said]:
    """Turns an artifact's outputs `(outputs,)` into what is said, with at most `count` labels.

    Where it gives features, they are the second thing that it is told.
    Raises `EdgeCnnError` for what the bundle does not know enough to promise.
    """
    read = reader(head, bundle.labels, count)
    names, known = head.names(bundle.labels), Reliability.load(bundle, format)
    if known is None:
        if options.coverage or options.reject:
            raise EdgeCnnError(
                f"{bundle.path} is of before export measured what answers are worth: export again."
            )
        return lambda values, _: Said(values, *read(values))
    lowest = known.lowest(options.coverage, names) if options.coverage else None
    if options.reject:
        known.check_rejection(options.reject)
        if head.kind == "sigmoid":
            raise EdgeCnnError(
                "--reject says unknown where one label must hold, and here any number of them "
                "may: `familiarity` in the JSON lines says how strange a picture is."
            )

    def say(values: Outputs, features: Outputs | None) -> Said:
        probabilities, share = known.read(values, head, features)
        probabilities = values if options.raw else probabilities
        top, held = read(probabilities)
        possible: tuple[str, ...] | None = None
        if lowest is not None:
            possible = tuple([names[i] for i in reaching(of_each(values, head), lowest)])
        if options.reject and share is not None:
            if share <= options.reject:
                possible = ()
            elif lowest is None:
                possible = (top[0].label,)
        return Said(probabilities, top, held, possible, share)

    return say


def reaching(each: Outputs, lowest: Outputs) -> list[int]:
    """The places of answers `(answers,)` that reach their bound, most probable first."""
    found: list[int] = (each >= lowest).nonzero()[0].tolist()
    found.sort(key=each.__getitem__, reverse=True)
    return found


def reader(head: Head, labels: Sequence[str], count: int) -> Callable[[Outputs], Answer]:
    """Turns outputs `(outputs,)` into an answer that names at most `count` labels."""
    if head.kind == "softmax":
        return lambda values: (ranked(values, labels, count), None)
    if head.kind == "binary":

        def yes_or_no(values: Outputs) -> Answer:
            return either(values, labels, head, holds=bool(head.holds(values)[0])), None

        return yes_or_no

    def each(values: Outputs) -> Answer:
        order = ranked(values, labels, len(labels))
        return order[:count], holding(order, head.holds(values))

    return each


def ranked(values: Outputs, labels: Sequence[str], count: int) -> tuple[Top, ...]:
    """The `count` most probable labels; of equal ones the lower class number first."""
    return tuple([Top(labels[i], i, float(values[i])) for i in best(values, count)])


def best(values: Outputs, count: int) -> list[int]:
    """The places of the `count` largest of `(outputs,)`, of equal ones the lower first."""
    if count > FEW:
        order: list[int] = np.argsort(-values, kind="stable")[:count].tolist()
        return order
    left, found = values.copy(), []
    for _ in range(count):
        found.append(place := int(left.argmax()))
        left[place] = -np.inf
    return found


def holding(order: Sequence[Top], holds: NDArray[np.bool_]) -> tuple[Top, ...]:
    """Those of all labels that hold, in this order."""
    return tuple(top for top in order if top.class_index is not None and holds[top.class_index])


def either(values: Outputs, labels: Sequence[str], head: Head, *, holds: bool) -> tuple[Top, Top]:
    """The answer of a `binary` head, then the other one, whichever is more probable."""
    probability = float(values[0])
    first, second = head.names(labels)
    no = Top(first, 0 if len(labels) == 2 else None, 1 - probability)
    yes = Top(second, len(labels) - 1, probability)
    return (yes, no) if holds else (no, yes)
