"""Answers that lie in a file while they are collected, and for good if that is interrupted.

A file holds what each network gave, `(count, outputs)` one after the other, and behind that a hash
for every chunk of pictures: of the pixels that went in and of all that came out. What was begun
and not finished, cut off, or of other pixels has another hash, and is asked for anew.
"""

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgecnn import cache
from edgecnn.atomic import hold
from edgecnn.file_array import FileArray

FOLDER = "evaluations"
FORGOTTEN_S = 30 * 24 * 3600.0
"""After so long nobody goes on with an evaluation."""
HASH = hashlib.sha256().digest_size


@dataclass(frozen=True)
class KeptAnswers:
    """Answers of several networks to the same pictures, chunk by chunk."""

    answers: tuple[FileArray, ...]
    """Of each network, float32 `(count, outputs)`."""
    hashes: FileArray
    size: int
    """Pictures in a chunk; in the last one, what is left."""
    path: Path | None
    """None: nothing of it outlives this process."""
    lock: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """All of them are there now, and can be read, in a file that is gone with this process.

        After an error they stay for the next time.
        """
        if self.path is not None and kind is None:
            self.path.unlink(missing_ok=True)
        if self.lock is not None:
            os.close(self.lock)

    @classmethod
    def open(
        cls, of: Any, networks: int, count: int, outputs: int, size: int, notes: list[str]
    ) -> Self:
        """What an earlier evaluation of the very same left, or room for a new one.

        `of` is all that the answers depend on beside the pixels, as JSON. Where nothing can be
        kept, `notes` say why.
        """
        name = hashlib.sha256(json.dumps([of, networks, count, outputs, size]).encode()).hexdigest()
        path = cache.folder() / FOLDER / name
        shape, chunks = (count, outputs), -(-count // size)
        each = count * outputs * np.dtype(np.float32).itemsize
        whole = networks * each + chunks * HASH
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _forget(path.parent)
            path.touch()
            lock = hold(path)
            if lock is None:  # the same is under way in another process
                return cls.scratch(networks, count, outputs, size)
            os.truncate(path, whole)
            opened = [os.open(path, os.O_RDWR) for _ in range(networks + 1)]
        except OSError as error:
            notes.append(
                f"An interrupted evaluation will begin anew: {path.parent} cannot be written "
                f"({error.strerror}). Set EDGECNN_CACHE to a folder that can."
            )
            return cls.scratch(networks, count, outputs, size)
        return cls(
            tuple(FileArray(opened[i], shape, np.float32, i * each) for i in range(networks)),
            FileArray(opened[-1], (chunks, HASH), np.uint8, networks * each),
            size,
            path,
            lock,
        )

    @classmethod
    def scratch(cls, networks: int, count: int, outputs: int, size: int) -> Self:
        """Room for answers that nobody goes on with."""
        return cls(
            tuple(FileArray.scratch((count, outputs), np.float32) for _ in range(networks)),
            FileArray.scratch((-(-count // size), HASH), np.uint8),
            size,
            None,
        )

    def has(self, number: int, images: NDArray[np.uint8]) -> bool:
        """Whether all networks' answers to these pictures, the chunk of that number, are there."""
        rows = slice(number * self.size, number * self.size + len(images))
        return self.hashes[number].tobytes() == _hash(images, [one[rows] for one in self.answers])

    def keep(
        self, number: int, images: NDArray[np.uint8], answers: Sequence[NDArray[np.float32]]
    ) -> None:
        """Put down what each network gives of a chunk."""
        for own, given in zip(self.answers, answers, strict=True):
            own.write(number * self.size, given)
        digest = np.frombuffer(_hash(images, answers), np.uint8)
        self.hashes.write(number, digest[None])


def _hash(images: NDArray[np.uint8], answers: Sequence[NDArray[np.float32]]) -> bytes:
    digest = hashlib.sha256(images)
    for one in answers:
        digest.update(np.ascontiguousarray(one))
    return digest.digest()


def _forget(folder: Path) -> None:
    for path in folder.iterdir():
        if time.time() - path.stat().st_mtime > FORGOTTEN_S:
            path.unlink(missing_ok=True)
