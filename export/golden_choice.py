"""Which held-out pictures become golden: those on which mistakes show.

On a picture that a network is sure of, an engine may compute wrongly for long before its answer
moves. So the artifact itself is asked for pictures as they would look after mistakes that are made
on boards, and those are taken whose answers move most.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecnn.golden import ANSWER_TOLERANCE, Answers, Images, apart, small
from edgecnn.pictures import Picture
from edgecnn.preprocessing import Frame, FramePreparer, Preprocessing

CANDIDATES = 8
FEWEST, MOST = 2, 4
CLEAR = 2.0
"""Times the tolerance that a mistake moves an answer by, so that it shows in every case."""
ABOVE_ROUNDING = 3.0
"""Times what one level in one pixel of five does, as much as processors' scaling differs."""
SMALLEST = 1e-4

Mistake = Callable[[Images], Images]


def mistakes(preprocessing: Preprocessing) -> dict[str, Mistake]:
    """What is done to a prepared picture `(1, H, W, C)` by mistake, by name."""
    shape = preprocessing.shape
    found: dict[str, Mistake] = {
        "rows and columns swapped": lambda image: image.swapaxes(1, 2).reshape(shape),
        "scaled twice": lambda image: image // 255,
        "too dark": lambda image: image // 2,
    }
    if preprocessing.channels == 3:
        found["red and blue swapped"] = lambda image: image[..., ::-1]
        found["channels first"] = lambda image: image.transpose(0, 3, 1, 2).reshape(shape)
    return {name: _contiguous(mistake) for name, mistake in found.items()}


@dataclass(frozen=True)
class Choice:
    """The pictures chosen, and what they tell."""

    frames: tuple[Frame, ...]
    tolerance: float
    """Of a probability: a larger difference is no rounding."""
    untold: tuple[str, ...]
    """Mistakes that this network's answers hardly depend on."""


def choose(
    pictures: Sequence[Picture],
    preprocessing: Preprocessing,
    answer: Callable[[Images], Answers],
) -> Choice:
    """Look at some of the pictures, and keep those on which most mistakes show.

    `answer` is what an artifact says of one input.
    """
    prepare = FramePreparer(preprocessing)
    made = mistakes(preprocessing)
    looked: list[Frame] = []
    answers: list[Answers] = []
    moved: list[dict[str, float]] = []
    rounding: list[float] = []
    for picture in pictures[:: max(1, len(pictures) // CANDIDATES)][:CANDIDATES]:
        looked.append(small(picture.read()))
        image = prepare(looked[-1]).copy()
        answers.append(answer(image))
        moved.append(
            {name: _move(answer(wrong(image)), answers[-1]) for name, wrong in made.items()}
        )
        rounding.append(_move(answer(_rounded(image)), answers[-1]))
        chosen = _cover(moved, answers)
        if len(looked) >= FEWEST and _least(moved, answers, chosen) >= CLEAR * ANSWER_TOLERANCE:
            break
    noise = max(ABOVE_ROUNDING * max(rounding[i] for i in chosen), SMALLEST)
    shown = _shown(moved, answers, chosen)
    told = {name: by for name, by in shown.items() if by >= CLEAR * noise}
    tolerance = min(ANSWER_TOLERANCE, max(noise, min(told.values(), default=1.0) / CLEAR))
    return Choice(
        tuple(looked[i] for i in chosen),
        tolerance,
        tuple(name for name in shown if name not in told),
    )


def _cover(moved: Sequence[Mapping[str, float]], answers: Sequence[Answers]) -> list[int]:
    """Places of the few pictures on which the mistake that shows least shows most."""
    chosen: list[int] = []
    while len(chosen) < min(MOST, len(moved)):
        rest = [i for i in range(len(moved)) if i not in chosen]
        best = max(rest, key=lambda i: _worth(moved, answers, [*chosen, i]))
        if len(chosen) >= FEWEST:
            before, after = (_least(moved, answers, c) for c in (chosen, [*chosen, best]))
            if before >= CLEAR * ANSWER_TOLERANCE or after <= before:
                break
        chosen.append(best)
    return chosen


def _worth(
    moved: Sequence[Mapping[str, float]], answers: Sequence[Answers], chosen: Sequence[int]
) -> tuple[float, float]:
    shown = _shown(moved, answers, chosen).values()
    return min(shown), sum(shown)


def _least(
    moved: Sequence[Mapping[str, float]], answers: Sequence[Answers], chosen: Sequence[int]
) -> float:
    return min(_shown(moved, answers, chosen).values())


def _shown(
    moved: Sequence[Mapping[str, float]], answers: Sequence[Answers], chosen: Sequence[int]
) -> dict[str, float]:
    """By how much each mistake moves an answer of the chosen pictures at most."""
    found = {name: max(moved[i][name] for i in chosen) for name in moved[0]}
    if len(chosen) > 1:
        # An engine that gives an old answer again.
        found["another picture's answer"] = max(
            _move(answers[i], answers[j]) for i in chosen for j in chosen if i < j
        )
    return found


def _move(given: Answers, expected: Answers) -> float:
    return float(np.max(apart(given, expected)))


def _rounded(image: Images) -> Images:
    """One level more or less in one value of five, as another OpenCV would give it."""
    step = np.zeros(image.size, np.int16)
    step[::10], step[5::10] = 1, -1
    rounded: Images = np.clip(image + step.reshape(image.shape), 0, 255).astype(np.uint8)
    return rounded


def _contiguous(mistake: Mistake) -> Mistake:
    def apply(image: Images) -> NDArray[np.uint8]:
        return np.ascontiguousarray(mistake(image))

    return apply
