"""Several sources of pictures as one data set, in which known pictures keep their places."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from edgecnn import inbox
from edgecnn.data.dataset import Frames, Split
from edgecnn.data.places import SPLITS
from edgecnn.pictures import Picture
from edgecnn.preprocessing import Frame

SALT, HALF = b"random stream", 128


@dataclass(frozen=True)
class JoinedFrames:
    """Frames of several sources, each by its source and its index there."""

    picks: tuple[tuple[Frames, int], ...]

    def __len__(self) -> int:
        return len(self.picks)

    def __getitem__(self, index: int) -> Frame:
        frames, inner = self.picks[index]
        return frames[inner]

    def take(self, indices: NDArray[np.int64]) -> Self:
        """The frames of these indices."""
        return type(self)(tuple(self.picks[index] for index in indices.tolist()))

    def name(self, index: int) -> str:
        """As its source calls it."""
        frames, inner = self.picks[index]
        return frames.name(inner)

    def digest(self, index: int) -> bytes:
        """As of its source."""
        frames, inner = self.picks[index]
        return frames.digest(inner)

    def moment(self, index: int) -> str | None:
        """As of its source."""
        frames, inner = self.picks[index]
        return frames.moment(inner)

    def as_picture(self, index: int, label: str, folder: Path) -> Picture:
        """As of its source."""
        frames, inner = self.picks[index]
        return frames.as_picture(inner, label, folder)


class Part(NamedTuple):
    """A source that is divided."""

    source: str
    labels: Sequence[str]
    splits: dict[str, Split]


class Joined(NamedTuple):
    """What became of the sources."""

    splits: dict[str, Split]
    tested: tuple[str, ...]
    """Of each test picture, the source it is from."""
    doubts: tuple[str, ...]


def joined(parts: Sequence[Part], labels: Sequence[str], known: Mapping[bytes, str]) -> Joined:
    """The parts as one, each picture once.

    `known` gives splits by the hash of a picture or of a moment: they hold, whatever a part says.
    Half of the moments that a board's random stream has frames of are tested on, all of their
    frames: what is estimated from a stream needs more of it than a part of all pictures. Which
    half follows from nothing that they show.
    """
    random = {digest for part in parts for digest in _random_stream(part.source)}
    fixed = _moments_of(random, parts) | dict(known)
    picks: dict[str, list[tuple[Frames, int]]] = {name: [] for name in SPLITS}
    targets: dict[str, list[int]] = {name: [] for name in SPLITS}
    tested: list[str] = []
    seen: dict[bytes, str] = {}
    doubts: list[str] = []
    disputed = 0
    for part in parts:
        before, trained = dict(seen), len(picks["train"])
        for name, split in part.splits.items():
            for index, (digest, moment) in enumerate(
                zip(split.digests, split.moments, strict=True)
            ):
                label = part.labels[split.targets[index]]
                if digest in before:
                    disputed += before[digest] != label
                    continue
                seen[digest] = label
                place = fixed.get(digest) or fixed.get(moment) or name
                picks[place].append((split.frames, index))
                targets[place].append(labels.index(label))
                if place == "test":
                    tested.append(part.source)
        came = len(seen) - len(before)
        if came and len(picks["train"]) == trained:
            moments = {one for split in part.splits.values() for one in split.moments}
            doubts.append(
                f"None of the {came} pictures of {part.source} is trained on: they are of "
                f"{len(moments)} moments, each of which stays in one split. Label more of them."
            )
    splits = {
        name: Split(JoinedFrames(tuple(picks[name])), np.asarray(targets[name], np.int64))
        for name in SPLITS
    }
    if disputed:
        doubts.append(
            f"{disputed} pictures have another label in a later --data: the first one holds."
        )
    return Joined(splits, tuple(tested), tuple(doubts))


def _random_stream(source: str) -> frozenset[bytes]:
    folder = Path(source).expanduser()
    if not inbox.is_inbox(folder):
        return frozenset()
    return frozenset(bytes.fromhex(kept.sha256) for kept in inbox.read(folder) if kept.random)


def _moments_of(random: set[bytes], parts: Sequence[Part]) -> dict[bytes, str]:
    """The test split, by the half of the moments that these frames are of."""
    return {
        moment: "test"
        for part in parts
        for split in part.splits.values()
        for digest, moment in zip(split.digests, split.moments, strict=True)
        if digest in random and hashlib.sha256(SALT + moment).digest()[0] < HALF
    }
