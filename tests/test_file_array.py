"""An array in a file is indexed as one in memory, and leaves nothing behind."""

import shutil
import tempfile
from collections import namedtuple
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecnn.errors import DataError
from edgecnn.evenly import evenly
from edgecnn.file_array import BLOCK, FileArray, by_blocks, mapped

RNG = np.random.default_rng(0)
VALUES = RNG.integers(0, 256, (300, 5, 4, 3), np.uint8)


def in_file(values: Any) -> FileArray:
    found = FileArray.scratch(values.shape, values.dtype)
    found.write(len(values) // 2, values[len(values) // 2 :])
    found.write(0, values[: len(values) // 2])
    return found


@pytest.mark.parametrize(
    "pick",
    [
        lambda x: x[:],
        lambda x: x[7],
        lambda x: x[-1],
        lambda x: x[np.int64(3)],
        lambda x: x[10:20],
        lambda x: x[290:400],
        lambda x: x[20:10],
        lambda x: x[5::7],
        lambda x: x[::-1],
        lambda x: x[np.array([9, 0, 299, 9])],
        lambda x: np.stack(list(x)),
        lambda x: evenly(x, 32),
        len,
    ],
)
def test_it_is_indexed_like_an_array(pick: Callable[[Any], Any]) -> None:
    np.testing.assert_array_equal(pick(in_file(VALUES)), pick(VALUES))


def test_what_is_outside_is_an_error() -> None:
    found = in_file(VALUES)
    with pytest.raises(IndexError):
        found[300]
    with pytest.raises(TypeError, match="float64"):
        found.write(0, VALUES[:1].astype(float))
    assert not FileArray.scratch((3, 2), np.uint8)[:].any()


def test_it_has_no_name_and_is_gone_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = in_file(VALUES)
    assert not list(tmp_path.iterdir())
    open_files = Path("/proc/self/fd")
    before = len(list(open_files.iterdir()))
    del found
    assert len(list(open_files.iterdir())) == before - 1


def test_too_little_room_is_said_before(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**40, 2**40, 2**20))
    with pytest.raises(DataError, match=r"20,000 pictures take 2\.8 GiB .* set TMPDIR"):
        FileArray.scratch((20_000, 224, 224, 3), np.uint8)


def test_several_threads_may_read() -> None:
    found = in_file(VALUES)
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(found.__getitem__, range(300)))
    np.testing.assert_array_equal(rows, VALUES)


def test_a_function_sees_some_rows_at_a_time() -> None:
    values = RNG.random((2 * BLOCK + 5, 3)).astype(np.float32)
    seen: list[int] = []

    def sums(some: Any) -> Any:
        seen.append(len(some))
        return some.sum(axis=1)

    np.testing.assert_array_equal(by_blocks(sums, in_file(values)), values.sum(axis=1))
    assert seen == [BLOCK, BLOCK, 5]
    np.testing.assert_array_equal(mapped(np.sqrt, in_file(values))[:], np.sqrt(values))
