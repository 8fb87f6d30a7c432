"""Many pictures as network input: read and prepared on all cores, a chunk at a time."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.file_array import FileArray
from edgecnn.parallel import in_order
from edgecnn.preprocessing import Frame, FramePreparer, Preprocessing

CHUNK = 64
FEW = 4
"""Few pictures are shared among all cores too."""


def prepared_chunks(
    frame: Callable[[int], Frame], count: int, preprocessing: Preprocessing, size: int = CHUNK
) -> Iterator[NDArray[np.uint8]]:
    """Network input uint8 `(size, height, width, channels)` of `frame(0)` to `frame(count - 1)`.

    In their order, the last chunk with what is left. Two chunks for each core are prepared ahead.
    """

    def prepare(start: int) -> NDArray[np.uint8]:
        preparer = FramePreparer(preprocessing)  # it has buffers of its own
        indices = range(start, min(start + size, count))
        chunk = np.empty((len(indices), *preprocessing.shape[1:]), np.uint8)
        for image, index in zip(chunk, indices, strict=True):
            image[...] = preparer(frame(index))[0]
        return chunk

    return in_order(prepare, range(0, count, size), ahead=2)


def all_prepared(
    frame: Callable[[int], Frame], count: int, preprocessing: Preprocessing
) -> NDArray[Any]:
    """All of them in one array, uint8 `(count, height, width, channels)`."""
    images = np.empty((count, *preprocessing.shape[1:]), np.uint8)
    filled = 0
    for chunk in prepared_chunks(frame, count, preprocessing, size=FEW):
        images[filled : filled + len(chunk)] = chunk
        filled += len(chunk)
    return images


def prepared_file(
    frame: Callable[[int], Frame], count: int, preprocessing: Preprocessing
) -> FileArray:
    """The same in a file, for any number of pictures; it is gone with this process."""
    chunks = prepared_chunks(frame, count, preprocessing, size=FEW)
    return FileArray.filled((count, *preprocessing.shape[1:]), np.uint8, chunks)
