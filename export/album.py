"""What export keeps for people to look at: see `edgecnn.album`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.album import CALIBRATION, FLOAT, WORST, Album, Answer, Case, small
from edgecnn.evenly import evenly
from edgecnn.export.accuracy import Probabilities, Truths, same
from edgecnn.head import Head
from edgecnn.pictures import prepare
from edgecnn.targets.answer import reader

if TYPE_CHECKING:  # it needs more than a board has
    from edgecnn.export.job import Job


def album(job: "Job") -> Album | None:
    """Pictures that calibrated an export, and those on which its artifacts are worst."""
    request, held_out = job.request, job.held_out
    known = {name: v.answers for name, v in job.found.items() if v.answers is not None}
    worst = places_of_worst(held_out.expected, known, held_out.truths, request.head)
    images = held_out.images[worst]
    # Also those artifacts which an earlier export had judged.
    answers = {
        name: np.stack([session.infer(image[None]) for image in images])
        for name, session in job.sessions.items()
        if len(images)
    }
    truths = None if held_out.truths is None else held_out.truths[worst]
    found = cases(images, held_out.expected[worst], answers, truths, request.labels, request.head)
    calibration: list[NDArray[np.uint8]] = []
    if request.options.precision == "int8":
        chosen = evenly(request.pictures.pictures, CALIBRATION)
        calibration = small(prepare(chosen, request.network.preprocessing))
    return Album(tuple(calibration), tuple(found)) if calibration or found else None


def places_of_worst(
    expected: Probabilities | None,
    answers: Mapping[str, Probabilities],
    truths: Truths | None,
    head: Head,
    count: int = WORST,
) -> NDArray[np.intp]:
    """Where the worst pictures are, the worst first; of what each artifact gave (count, outputs).

    Those that an artifact answers otherwise than the float network come first, then those that it
    gets wrong; among each, those with the largest difference of a probability, or the surest where
    there is no float network to differ from.
    """
    if not answers:
        return np.empty(0, np.intp)
    every = list(answers.values())
    nothing = np.zeros(len(every[0]), bool)
    differ, apart = nothing, np.zeros(len(nothing), np.float32)
    if expected is None:
        apart = np.array([head.margin(values) for values in every[0]], np.float32)
    else:
        decided = head.decide(expected)
        differ = np.any([~same(head.decide(values), decided) for values in every], axis=0)
        apart = np.max([np.abs(values - expected).max(axis=1) for values in every], axis=0)
    wrong = nothing
    if truths is not None:
        wrong = np.any([~same(head.decide(values), truths) for values in every], axis=0)
    return np.lexsort((-apart, ~wrong, ~differ))[:count]


def cases(
    images: NDArray[np.uint8],
    expected: Probabilities | None,
    answers: Mapping[str, Probabilities],
    truths: Truths | None,
    labels: Sequence[str],
    head: Head,
) -> list[Case]:
    """Pictures (count, H, W, C) with all that was said of them, in words."""
    given = answers if expected is None else {FLOAT: expected, **answers}
    return [
        Case(
            image,
            None if truths is None else _truth(truths[i], labels, head),
            {name: in_words(values[i], labels, head) for name, values in given.items()},
        )
        for i, image in enumerate(small(images))
    ]


def in_words(values: Probabilities, labels: Sequence[str], head: Head) -> Answer:
    """What outputs `(outputs,)` say; of several labels that hold, with the least probability."""
    top, held = reader(head, labels, 1)(values)
    if held is None:
        return Answer(top[0].label, top[0].probability)
    if not held:
        return Answer("none", 1 - top[0].probability)
    return Answer(" and ".join(one.label for one in held), held[-1].probability)


def _truth(truth: Any, labels: Sequence[str], head: Head) -> str:
    if head.kind == "sigmoid":
        holding = [label for label, holds in zip(labels, truth, strict=True) if holds]
        return " and ".join(holding) or "none"
    return head.names(labels)[int(truth)]
