"""Which of many pictures make the calibration set."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgecnn.errors import DataError
from edgecnn.file_array import FileArray, by_blocks
from edgecnn.pictures import Picture

Selection = Literal["diverse", "balanced", "random"]
Features = NDArray[np.float32] | FileArray
"""(count, dimensions)"""


def select(
    pictures: Sequence[Picture],
    count: int,
    how: Selection,
    seed: int,
    features: Callable[[Sequence[Picture]], Features],
) -> tuple[list[int], dict[str, Any]]:
    """Indices of the chosen pictures, and figures on how they cover all of them."""
    count = min(count, len(pictures))
    rng = np.random.default_rng(seed)
    if how == "random":
        return sorted(rng.permutation(len(pictures))[:count].tolist()), {}
    if how == "balanced":
        chosen = balanced([p.label for p in pictures], count, rng)
        return chosen, {"classes": len({pictures[i].label for i in chosen})}
    chosen, radii = k_centre(features(pictures), count, rng)
    return chosen, {
        "feature_radius": round(float(radii[-1]), 4),
        "feature_radius_of_first": round(float(radii[0]), 4),
    }


def balanced(labels: Sequence[str | None], count: int, rng: np.random.Generator) -> list[int]:
    """The classes take turns, so that each is there as often as it can."""
    classes: dict[str, list[int]] = defaultdict(list)
    for index in rng.permutation(len(labels)).tolist():
        label = labels[index]
        if label is None:
            raise DataError(
                "--select balanced needs labels: a subfolder for each class, or a labels.csv."
            )
        classes[label].append(index)
    chosen: list[int] = []
    waiting = [classes[label] for label in sorted(classes)]
    while len(chosen) < count:
        for members in waiting:
            if members and len(chosen) < count:
                chosen.append(members.pop())
    return sorted(chosen)


def k_centre(
    features: Features, count: int, rng: np.random.Generator
) -> tuple[list[int], list[float]]:
    """Greedy k-centre (Gonzalez, 1985): each time the picture farthest from those chosen.

    Returns the indices, in the order chosen, and after each the largest distance of any picture
    to its nearest chosen one.
    """
    chosen = [int(rng.integers(len(features)))]
    nearest = _distances(features, chosen[0])
    radii = [float(nearest.max())]
    nearest[chosen] = -1.0  # none is chosen twice, even where the others look just like it
    while len(chosen) < count:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, _distances(features, chosen[-1]))
        nearest[chosen[-1]] = -1.0
        radii.append(max(0.0, float(nearest.max())))
    return chosen, radii


def _distances(features: Features, place: int) -> NDArray[np.floating[Any]]:
    """Of every picture from the one at that place."""
    other = features[place]
    return by_blocks(lambda some: np.linalg.norm(some - other, axis=1), features)
