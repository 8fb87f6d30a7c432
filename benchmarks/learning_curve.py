"""How often the interval of the learning curve holds what more labels really bring.

    apt-get install dataset-fashion-mnist
    python -m benchmarks.learning_curve [--repeats 100] [--new 150] [--held-out 90]
    python -m benchmarks.learning_curve --pictures flowers --bundle exports/lite0-features ...

Two hundred pictures are known; as many as `--new` come from another camera, which is dark, blurred
and noisy, and the curve says what as many again would bring (`edgecnn train --from`). They are
drawn as well, and the very classifier that the curve is of is fitted with and without them and
judged on all that is left. Features are the pixels of Fashion-MNIST, 14x14, or of a folder of
labelled pictures those of a bundle that was exported with `--features`.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.labels import arrays, other_camera, rows
from edgecnn import binomial
from edgecnn.data import open_source
from edgecnn.pictures import labelled_pictures
from edgecnn.targets.classifier import load
from edgecnn.training.learning_curve import (
    MOST_LABELS,
    Features,
    Floats,
    components,
    fitted_classifier,
    learning_curve,
)

KNOWN, MOST_JUDGED = 200, 4000
Indices = NDArray[np.int64]
Draw = Callable[[Indices], Features]
"""Features and classes of these pictures."""


def fashion(data: str) -> tuple[int, Draw, Draw]:
    """How many pictures there are, and what the first camera and the other one see."""
    pixels, classes = arrays(open_source(data).train)
    rng = np.random.default_rng(0)

    def first(chosen: Indices) -> Features:
        return rows(pixels[chosen]).astype(np.float64), classes[chosen]

    def other(chosen: Indices) -> Features:
        return rows(other_camera(pixels[chosen], rng)).astype(np.float64), classes[chosen]

    return len(pixels), first, other


def pictures(folder: Path, bundle: Path) -> tuple[int, Draw, Draw]:
    """The same, by the features of a network."""
    classifier, rng = load(bundle, "litert", 1, self_check=False), np.random.default_rng(0)
    found = labelled_pictures(folder)
    labels = sorted({str(one.label) for one in found})
    classes = np.array([labels.index(str(one.label)) for one in found], np.int64)
    clear, dark = list[Floats](), list[Floats]()
    for picture in found:
        image = picture.read()
        seen = 0.35 * cv2.GaussianBlur(image, (0, 0), 3) + 25 + rng.normal(0, 12, image.shape)
        for shown, into in ((image, clear), (np.clip(seen, 0, 255).astype(np.uint8), dark)):
            classifier(shown)
            if classifier.features is None:
                raise SystemExit(f"{bundle} gives no features: export it with --features.")
            into.append(np.array(classifier.features, np.float64).ravel())
    first, other = np.stack(clear), np.stack(dark)
    return (
        len(found),
        lambda chosen: (first[chosen], classes[chosen]),
        lambda chosen: (other[chosen], classes[chosen]),
    )


def joined(*parts: Features) -> Features:
    """Several as one."""
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def accuracy(learned: Features, judged: Features, project: Callable[[Floats], Floats]) -> float:
    """Of the classifier that the curve is of, on what it was not fitted to."""
    answers = fitted_classifier(project(learned[0]), learned[1])(project(judged[0]))
    return float(np.mean(answers == judged[1]))


def main() -> None:
    """Repeat, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="fashion_mnist:/usr/share/datasets/fashion-mnist")
    parser.add_argument("--pictures", type=Path, help="a folder of these, instead")
    parser.add_argument("--bundle", type=Path, help="with --pictures: whose features")
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--new", type=int, default=150)
    parser.add_argument("--held-out", type=int, default=90)
    given = parser.parse_args()
    count, first, other = (
        pictures(given.pictures, given.bundle) if given.pictures else fashion(given.data)
    )
    more = min(MOST_LABELS, given.new)
    sizes = np.cumsum([KNOWN, given.new, given.held_out, more])
    found = []
    for seed in range(given.repeats):
        order = np.random.default_rng(1000 + seed).permutation(count)
        known, new, held_out, extra, rest = np.split(order, sizes)
        old, came = first(known), other(new)
        moments = [index.to_bytes(4, "little") for index in range(len(new))]
        curve = learning_curve(old, came, other(held_out), moments, seed=seed)
        assert curve is not None
        before, after = joined(old, came), joined(old, came, other(extra))
        judged = other(rest[:MOST_JUDGED])
        project = components(before[0])
        gain = 100 * (accuracy(after, judged, project) - accuracy(before, judged, project))
        found.append((gain, curve.gain, *curve.interval))
    true, said, low, high = np.array(found).T
    held = int(np.sum((low <= true) & (true <= high)))
    between = binomial.interval(held, len(found))
    print(
        f"{more} more labels beside {given.new}, {given.held_out} held out: the 95% interval held "
        f"the gain in {held} of {len(found)} ({between[0]:.1%} to {between[1]:.1%}); on average "
        f"{true.mean():+.1f} points, said were {said.mean():+.1f} ({low.mean():.1f} to "
        f"{high.mean():.1f})"
    )


if __name__ == "__main__":
    main()
