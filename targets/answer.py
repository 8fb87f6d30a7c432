"""What a network's outputs say about one picture, by its head."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from edgecnn.head import Head
from edgecnn.targets.prediction import Top

Outputs = NDArray[np.float32]
Answer = tuple[tuple[Top, ...], tuple[Top, ...] | None]
"""`top` and `held` of a `Prediction`."""


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
    """The `count` most probable labels."""
    # A stable sort: ties, frequent in int8, go to the lower class number as with argmax.
    order = np.argsort(-values, kind="stable")[:count]
    return tuple(Top(labels[i], i, float(values[i])) for i in order.tolist())


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
