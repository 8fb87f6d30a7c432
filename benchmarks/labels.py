"""How many labels a network needs to become good elsewhere, and if its accuracy there is known.

    apt-get install dataset-fashion-mnist          # /usr/share/datasets/fashion-mnist
    python -m benchmarks.labels [--data fashion_mnist:DIR] [--seeds 5] [--runs 200]

A classifier (logistic regression) has learned from few pictures of one camera and looks at
another's, which is dark, blurred and noisy. The very choice of `edgecnn run --collect` (`Chooser`)
takes frames from what that camera shows, a tenth of the stream at a time; they are labelled by the
truth, and the classifier learns from the old pictures and these. Against it: as many frames of the
same stream, chosen at random. A seed draws the first pictures, the stream and the noise. It is a
simulation, on real pictures.

Printed is the accuracy on other frames of that camera after so many labels; how many labels each
needs for what chance reaches with the most, interpolated; and the ratio with its interval over the
seeds (Student, of the logarithm).

Then, in many runs, a stream drawn anew: how often the interval of `edgecnn.estimate.share`, from
the random stream that the same choice keeps, holds the accuracy over the whole stream, at 95%; and
beside it the interval from all frames that were kept, taken for a sample.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn import binomial, estimate
from edgecnn.data import open_source
from edgecnn.data.dataset import ArrayFrames, Split
from edgecnn.head import SOFTMAX
from edgecnn.spread import STUDENT_975
from edgecnn.targets.live.collecting.chooser import Chooser, Reason
from edgecnn.targets.prediction import Latency, Prediction, Top

FIRST, STREAM, TEST = 200, 20_000, 4_000
"""Pictures of the first camera, frames of the other one, and others of it to judge by."""
STEPS = tuple(range(70, 701, 70))
"""Labels, after each of which is learned anew; and, with what was learned, chosen."""
NO_TIME = Latency(0, 0, 0, 0, 0, 0)
Pixels = NDArray[np.uint8]
Rows = NDArray[np.float32]
Classes = NDArray[np.int64]


@dataclass(frozen=True)
class World:
    """What there is for one seed."""

    first: Rows
    first_classes: Classes
    stream: Rows
    stream_pixels: Pixels
    stream_classes: Classes
    test: Rows
    test_classes: Classes


def other_camera(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Dark, blurred and noisy."""
    import cv2

    blurred = np.stack([cv2.GaussianBlur(one, (5, 5), 1.0) for one in pixels])
    seen = 0.5 * blurred + 20 + rng.normal(0, 15, blurred.shape)
    return np.clip(seen, 0, 255).astype(np.uint8)


def rows(pixels: Pixels) -> Rows:
    """What the classifier reads: every other pixel's neighbourhood, 14×14."""
    parts = pixels.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4), dtype=np.float32)
    return parts.reshape(len(pixels), -1) / 128 - 0.5


def worlds(data: str, seeds: int) -> Iterator[World]:
    """One after the other."""
    found = open_source(data)
    pixels, classes = arrays(found.train)
    test_pixels, test_classes = arrays(found.test)
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(pixels))
        first, stream = order[:FIRST], order[FIRST : FIRST + STREAM]
        test = rng.permutation(len(test_pixels))[:TEST]
        seen = other_camera(pixels[stream], rng)
        yield World(
            rows(pixels[first]),
            classes[first],
            rows(seen),
            seen,
            classes[stream],
            rows(other_camera(test_pixels[test], rng)),
            test_classes[test],
        )


def arrays(split: Split) -> tuple[Pixels, Classes]:
    """Pixels and classes of a split that is in memory."""
    assert isinstance(split.frames, ArrayFrames)
    return split.frames.pixels, split.targets


def learned(world: World, labelled: list[int]) -> Any:
    """From the first camera's pictures and these of the other."""
    from sklearn.linear_model import LogisticRegression

    known = np.concatenate([world.first, world.stream[labelled]])
    classes = np.concatenate([world.first_classes, world.stream_classes[labelled]])
    return LogisticRegression(C=0.1, max_iter=200).fit(known, classes)


def chosen(
    world: World, model: Any, places: NDArray[np.int64], seed: int
) -> list[tuple[int, Reason]]:
    """Which frames of the stream are kept, and why, while this model looks at it."""
    probabilities = model.predict_proba(world.stream[places]).astype(np.float32)
    looking: Any = SimpleNamespace(head=SOFTMAX, features=None, image=[None])
    choose = Chooser(looking, timed=False, seed=seed)
    found = []
    for number, (place, values) in enumerate(zip(places.tolist(), probabilities, strict=True)):
        looking.image = world.stream_pixels[place][None, :, :, None]
        order = np.argsort(-values, kind="stable")[:5].tolist()
        top = tuple(Top(str(one), one, float(values[one])) for one in order)
        prediction = Prediction(number, 0.0, top, NO_TIME, probabilities=values, outputs=values)
        reason = choose(prediction, float(number))
        if reason is not None:
            found.append((place, reason))
    return found


def curve(world: World, seed: int, *, by_chance: bool) -> list[float]:
    """Accuracy on the other camera after each of `STEPS` labels."""
    rng, labelled, accuracies = np.random.default_rng(seed), list[int](), list[float]()
    model = learned(world, labelled)
    parts = np.array_split(rng.permutation(STREAM), len(STEPS))
    for part, count in zip(parts, STEPS, strict=True):
        more = count - len(labelled)
        if by_chance:
            labelled += part[:more].tolist()
        else:
            kept = [place for place, why in chosen(world, model, part, seed) if why.why != "random"]
            labelled += rng.permutation(kept)[:more].tolist()
            assert len(labelled) == count, (len(kept), more)
        model = learned(world, labelled)
        accuracies.append(float(model.score(world.test, world.test_classes)))
    return accuracies


def needed(accuracies: list[float], wanted: float) -> float:
    """Labels for that accuracy, interpolated between two steps."""
    for place, accuracy in enumerate(accuracies):
        if accuracy >= wanted:
            if place == 0:
                return float(STEPS[0])
            before = accuracies[place - 1]
            share = (wanted - before) / (accuracy - before)
            return STEPS[place - 1] + share * (STEPS[place] - STEPS[place - 1])
    return math.inf


def efficiency(data: str, seeds: int) -> None:
    """The first part; prints it."""
    ratios, ours, chance = [], [], []
    for seed, world in enumerate(worlds(data, seeds)):
        ours.append(curve(world, seed, by_chance=False))
        chance.append(curve(world, seed, by_chance=True))
        wanted = chance[-1][-1]
        need, need_chance = needed(ours[-1], wanted), needed(chance[-1], wanted)
        ratios.append(need / need_chance)
        print(
            f"  seed {seed}: {wanted:.1%} with {need:.0f} labels, by chance {need_chance:.0f}",
            flush=True,
        )
    for step, a, b in zip(STEPS, np.mean(ours, axis=0), np.mean(chance, axis=0), strict=True):
        print(f"  {step:5} labels: {100 * a:.1f}%, by chance {100 * b:.1f}%")
    logs = np.log(ratios)
    error = STUDENT_975[len(logs) - 2] * logs.std(ddof=1) / math.sqrt(len(logs))
    low, high = (math.exp(logs.mean() + sign * error) for sign in (-1, 1))
    mean = math.exp(logs.mean())
    print(f"labels needed, to chance: {mean:.3f} [{low:.3f}, {high:.3f}], {seeds} seeds")


def coverage(data: str, runs: int) -> None:
    """The second part; prints it."""
    (world,) = worlds(data, 1)
    model = learned(world, [])
    right = model.predict(world.stream) == world.stream_classes
    held = held_naive = 0
    widths = []
    for run in range(runs):
        # Each run another stream: its frames drawn anew, in an order of its own.
        rng = np.random.default_rng(1000 + run)
        places = rng.choice(STREAM, 5000)
        truth = right[places].mean()
        kept = chosen(world, model, places, run)
        stream = [(right[place], why.inclusion) for place, why in kept if why.inclusion]
        found = estimate.share(*zip(*stream, strict=True))
        held += found.low <= truth <= found.high
        widths.append(found.high - found.low)
        every = np.array([right[place] for place, _ in kept])
        low, high = binomial.interval(int(every.sum()), len(every))
        held_naive += low <= truth <= high
    low, high = binomial.interval(held, runs)
    print(
        f"accuracy of the whole stream in the 95% interval: {held} of {runs} runs "
        f"({held / runs:.1%} [{low:.1%}, {high:.1%}]), {np.mean(widths):.3f} wide; by all kept "
        f"frames as if they were a sample: {held_naive} of {runs}"
    )


def main() -> None:
    """Both parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="fashion_mnist:/usr/share/datasets/fashion-mnist")
    parser.add_argument("--seeds", type=int, default=5, help="of the first part; 0 leaves it out")
    parser.add_argument("--runs", type=int, default=200, help="of the second; 0 leaves it out")
    given = parser.parse_args()
    if given.seeds:
        efficiency(given.data, given.seeds)
    if given.runs:
        coverage(given.data, given.runs)


if __name__ == "__main__":
    main()
