"""What is wrong with a set of pictures, said before an epoch is spent."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from edgecnn.data.dataset import Split
from edgecnn.errors import DataError

FEW = 10
"""A class with fewer training pictures than this is worth a warning."""
UNEVEN = 3
"""So many times more pictures in the largest class than in the smallest are worth one too."""


def check_classes(labels: Sequence[str], splits: dict[str, Split], *, with_test: bool) -> None:
    """Raise `DataError` for data that no classifier can be trained on."""
    if len(labels) < 2:
        raise DataError(
            f"There is one class only ('{labels[0]}'): a classifier needs at least two, each in "
            "a folder of its own."
            if labels
            else "There are no classes."
        )
    needed = [name for name in ("train", "val", "test") if name != "test" or with_test]
    for target, label in enumerate(labels):
        counts = {name: int(np.sum(splits[name].targets == target)) for name in splits}
        empty = [name for name in needed if counts[name] == 0]
        if empty:
            moments = _moments(target, splits.values())
            of_moments = f" of {moments} moments" if moments < sum(counts.values()) else ""
            raise DataError(
                f"Class '{label}' has too few pictures: {sum(counts.values())} in all{of_moments}, "
                f"none of them left for {' and '.join(empty)}. Each class needs at least "
                f"{len(needed)} different ones, of as many moments; add pictures, call these "
                "something else, or change --split."
            )


def _moments(target: int, splits: Iterable[Split]) -> int:
    """Of how many moments, or different pictures, a class is."""
    return len(
        {
            moment
            for split in splits
            for moment, one in zip(split.moments, split.targets.tolist(), strict=True)
            if one == target
        }
    )


def find_warnings(labels: Sequence[str], splits: dict[str, Split]) -> list[str]:
    """What a person should know before training: few, uneven or duplicate pictures."""
    found: list[str] = []
    counts = np.bincount(splits["train"].targets, minlength=len(labels))
    few = [f"{labels[i]} ({counts[i]})" for i in np.flatnonzero(counts < FEW).tolist()]
    if few:
        found.append(f"Fewer than {FEW} training pictures: {_some(few)}.")
    if counts.max() > UNEVEN * counts.min():
        largest, smallest = labels[int(counts.argmax())], labels[int(counts.argmin())]
        found.append(
            f"Classes are uneven: {counts.max()} training pictures of {largest}, "
            f"{counts.min()} of {smallest}. --balance evens them out."
        )
    return found + _spellings(labels) + _duplicates(labels, splits)


def _spellings(labels: Sequence[str]) -> list[str]:
    of: dict[str, list[str]] = {}
    for label in labels:
        of.setdefault(re.sub(r"[\s_-]+", "", label.casefold()), []).append(label)
    alike = [" and ".join(f"'{one}'" for one in same) for same in of.values() if len(same) > 1]
    return [f"Classes that may be one, spelt in two ways: {_some(alike)}."] if alike else []


def _duplicates(labels: Sequence[str], splits: dict[str, Split]) -> list[str]:
    found: list[str] = []
    digests = {name: set(split.digests) for name, split in splits.items()}
    for first, second in (("train", "test"), ("train", "val"), ("val", "test")):
        shared = digests[first] & digests[second]
        if shared:
            split = splits[second]
            names = [split.frames.name(i) for i, d in enumerate(split.digests) if d in shared]
            found.append(
                f"{len(names)} pictures of {second} are also in {first}, so that its accuracy "
                f"flatters: {_some(names)}."
            )
    classes: dict[bytes, set[int]] = {}
    for split in splits.values():
        for digest, target in zip(split.digests, split.targets.tolist(), strict=True):
            classes.setdefault(digest, set()).add(target)
    pairs = Counter(tuple(sorted(c)) for c in classes.values() if len(c) > 1)
    if pairs:
        named = [f"{n} in {' and '.join(labels[i] for i in c)}" for c, n in pairs.most_common()]
        found.append(f"The same picture stands in two classes: {_some(named)}.")
    return found


def _some(names: list[str], count: int = 5) -> str:
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more
