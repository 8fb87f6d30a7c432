"""Arrays that lie in a file: what is read of one is not kept, so their length costs no memory."""

import math
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edgecnn.errors import DataError

BLOCK = 1024
"""Rows that are worked on together, so that what comes between is never of all."""
AT_ONCE = 1 << 20
"""Bytes that are read ahead for one row after the other; a row at least."""


class FileArray:
    """An array `(count, ...)` whose rows are read from a file when they are asked for.

    Indexed like an array along its first axis: by a number, a slice, or numbers in any order. Not
    a memory map, whose pages count as this process's memory for as long as there is any. Several
    threads may read at once.
    """

    def __init__(
        self, descriptor: int, shape: Sequence[int], dtype: DTypeLike, offset: int = 0
    ) -> None:
        """`descriptor` is of the open file, whose rows begin at `offset`, and is closed with it."""
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        self._descriptor, self._offset = descriptor, offset
        weakref.finalize(self, os.close, descriptor)
        self._row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize

    @classmethod
    def scratch(cls, shape: Sequence[int], dtype: DTypeLike) -> Self:
        """One of zeros in a file without a name, which is gone with it, however this program ends.

        Raises `DataError` if the disk has too little room.
        """
        folder = tempfile.gettempdir()
        size = math.prod(shape) * np.dtype(dtype).itemsize
        free = shutil.disk_usage(folder).free
        if size > free:
            raise DataError(
                f"{shape[0]:,} pictures take {size / 2**30:.1f} GiB in {folder} for a while, which "
                f"has {free / 2**30:.1f} GiB free: make room, or set TMPDIR to another folder."
            )
        with tempfile.TemporaryFile() as file:
            file.truncate(size)
            return cls(os.dup(file.fileno()), shape, dtype)

    @classmethod
    def filled(cls, shape: Sequence[int], dtype: DTypeLike, chunks: Iterable[NDArray[Any]]) -> Self:
        """One such with these rows, which come some at a time, from the first on."""
        found, done = cls.scratch(shape, dtype), 0
        for chunk in chunks:
            found.write(done, chunk)
            done += len(chunk)
        return found

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | np.integer[Any] | slice | NDArray[Any]) -> NDArray[Any]:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step == 1:
                return self._read(start, max(0, stop - start))
            return self[np.arange(start, stop, step)]
        if isinstance(index, np.ndarray):
            found = np.empty((len(index), *self.shape[1:]), self.dtype)
            for number, place in enumerate(index.tolist()):
                found[number] = self[place]
            return found
        (only,) = self._read(range(len(self))[index], 1)
        return np.asarray(only)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        size = max(1, AT_ONCE // max(1, self._row_bytes))
        for start in range(0, len(self), size):
            yield from self[start : start + size]

    def write(self, start: int, rows: NDArray[Any]) -> None:
        """Put rows, of this type, in their place."""
        if rows.dtype != self.dtype or rows.shape[1:] != self.shape[1:]:
            raise TypeError(f"{rows.dtype} {rows.shape} into {self.dtype} {self.shape}")
        left, at = _bytes(np.ascontiguousarray(rows)), self._offset + start * self._row_bytes
        while left:
            written = os.pwrite(self._descriptor, left, at)
            left, at = left[written:], at + written

    def _read(self, start: int, count: int) -> NDArray[Any]:
        rows = np.empty((count, *self.shape[1:]), self.dtype)
        left, at = _bytes(rows), self._offset + start * self._row_bytes
        while left:
            read = os.preadv(self._descriptor, [left], at)
            if not read:
                raise EOFError(f"Row {start} of {len(self)} is not all in its file.")
            left, at = left[read:], at + read
        return rows


def by_blocks(
    function: Callable[..., NDArray[Any]], *rows: NDArray[Any] | FileArray
) -> NDArray[Any]:
    """What a function gives of each picture's rows, asked for some pictures at a time."""
    starts = range(0, len(rows[0]), BLOCK)
    return np.concatenate([function(*(each[at : at + BLOCK] for each in rows)) for at in starts])


def mapped(function: Callable[[NDArray[Any]], NDArray[Any]], rows: FileArray) -> FileArray:
    """The same where as much comes out as went in: in a file too."""
    blocks = (function(rows[at : at + BLOCK]) for at in range(0, len(rows), BLOCK))
    return FileArray.filled(rows.shape, rows.dtype, blocks)


def _bytes(rows: NDArray[Any]) -> memoryview:
    return memoryview(rows.reshape(-1)).cast("B") if rows.size else memoryview(b"")


Images = NDArray[np.uint8] | FileArray
"""Pictures `(count, height, width, channels)`, in memory or not."""
