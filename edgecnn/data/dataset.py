"""What every data source gives: frames with their classes, in three splits.

A frame is what a camera gives: uint8, BGR `(height, width, 3)` or grey `(height, width)`.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from edgecnn.errors import DataError
from edgecnn.opencv import opencv
from edgecnn.pictures import Picture, moment_digest
from edgecnn.preparation import all_prepared, prepared_chunks
from edgecnn.preprocessing import Frame, Preprocessing


class Frames(Protocol):
    """Frames by their index, wherever they are kept."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Frame:
        """The frame, uint8 BGR `(height, width, 3)` or grey `(height, width)`."""
        ...

    def take(self, indices: NDArray[np.int64]) -> Self:
        """The frames of these indices, in this order."""
        ...

    def name(self, index: int) -> str:
        """What a person finds the picture by."""
        ...

    def digest(self, index: int) -> bytes:
        """Hash of the picture: equal for equal pictures."""
        ...

    def moment(self, index: int) -> str | None:
        """Where and when it was seen, if that is known: see `Picture`."""
        ...

    def as_picture(self, index: int, label: str, folder: Path) -> Picture:
        """The picture as a file, written to `folder` where it is not one yet."""
        ...


@dataclass(frozen=True)
class ArrayFrames:
    """Frames in memory: uint8 grey `(count, height, width)` or RGB `(count, height, width, 3)`."""

    pixels: NDArray[np.uint8]
    prefix: str
    """What their names begin with: the data set and split they came from."""
    numbers: NDArray[np.int64] | None = None
    """Index of each picture in the data set, where these are not all of it."""

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Frame:
        pixels = self.pixels[index]
        return np.ascontiguousarray(pixels[:, :, ::-1]) if pixels.ndim == 3 else pixels

    def take(self, indices: NDArray[np.int64]) -> Self:
        """The frames of these indices, copied."""
        numbers = indices if self.numbers is None else self.numbers[indices]
        return type(self)(self.pixels[indices], self.prefix, numbers)

    def name(self, index: int) -> str:
        """`digits-00042`."""
        number = index if self.numbers is None else self.numbers[index]
        return f"{self.prefix}-{number:05d}"

    def digest(self, index: int) -> bytes:
        """Hash of the pixels."""
        return hashlib.sha256(np.ascontiguousarray(self.pixels[index])).digest()

    def moment(self, index: int) -> None:
        """Not known."""

    def as_picture(self, index: int, label: str, folder: Path) -> Picture:
        """A PNG file of these very pixels."""
        cv2 = opencv()
        path = folder / f"{self.name(index)}.png"
        if not cv2.imwrite(str(path), self[index]):
            raise DataError(f"Cannot write {path}: is the disk full?")
        return Picture(path, label)


@dataclass(frozen=True)
class FileFrames:
    """Frames in picture files, read when asked for."""

    pictures: tuple[Picture, ...]

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Frame:
        return self.pictures[index].read()

    def take(self, indices: NDArray[np.int64]) -> Self:
        """The pictures of these indices."""
        return type(self)(tuple(self.pictures[i] for i in indices))

    def name(self, index: int) -> str:
        """The file's folder and name."""
        path = self.pictures[index].path
        return f"{path.parent.name}/{path.name}"

    def digest(self, index: int) -> bytes:
        """Hash of the file's bytes."""
        return bytes.fromhex(self.pictures[index].sha256)

    def moment(self, index: int) -> str | None:
        """As the picture says."""
        return self.pictures[index].moment

    def as_picture(self, index: int, label: str, folder: Path) -> Picture:  # noqa: ARG002
        """The file itself."""
        return Picture(self.pictures[index].path, label)


@dataclass(frozen=True)
class Split:
    """Frames and the index of each one's class."""

    frames: Frames
    targets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> Self:
        """The part of the split with these indices, in this order."""
        indices = np.asarray(indices, np.int64)
        return type(self)(self.frames.take(indices), self.targets[indices])

    @cached_property
    def digests(self) -> tuple[bytes, ...]:
        """Hash of each picture."""
        return tuple(self.frames.digest(i) for i in range(len(self)))

    @cached_property
    def moments(self) -> tuple[bytes, ...]:
        """Equal for pictures that belong on one side of a division: alike, or of one moment."""
        each = zip(self.digests, map(self.frames.moment, range(len(self))), strict=True)
        return tuple(digest if moment is None else moment_digest(moment) for digest, moment in each)

    def prepared_chunks(self, preprocessing: Preprocessing) -> Iterator[NDArray[np.uint8]]:
        """Network input in order; see `edgecnn.preparation`."""
        return prepared_chunks(self.frames.__getitem__, len(self), preprocessing)

    def prepared(self, preprocessing: Preprocessing) -> NDArray[np.uint8]:
        """All pictures as network input, uint8 `(count, height, width, channels)`."""
        return all_prepared(self.frames.__getitem__, len(self), preprocessing)


@dataclass(frozen=True)
class Dataset:
    """Labelled pictures in three splits that share none."""

    source: str
    """As the user named it."""
    labels: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    warnings: tuple[str, ...] = ()
    """What a person should know before training on it."""
    details: dict[str, Any] = field(default_factory=dict)
    """How it was split and what was skipped, for the checkpoint."""
    tested: tuple[str, ...] = ()
    """Of each test picture, the source it is from, where there are several."""

    @cached_property
    def sha256(self) -> str:
        """Hash over every picture, its class and its split."""
        digest = hashlib.sha256("\n".join(self.labels).encode())
        for split in (self.train, self.val, self.test):
            digest.update(np.ascontiguousarray(split.targets, "<i8"))
            for picture in split.digests:
                digest.update(picture)
        return digest.hexdigest()
