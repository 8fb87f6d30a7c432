"""Nobody may have to read stderr for a camera to go on."""

import contextlib
import fcntl
import logging
import os
import sys
import time
from collections.abc import Iterator

import pytest

from edgecnn.targets.live.spoken import ROOM, SpokenBeside

log = logging.getLogger("edgecnn.spoken")
PIPE = 4096


@pytest.fixture
def full_pipe() -> Iterator[tuple[int, int]]:
    """The ends of a pipe in which there is no room."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE)
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x")
    os.set_blocking(writer, True)
    yield reader, writer
    for end in (reader, writer):
        with contextlib.suppress(OSError):
            os.close(end)


@pytest.fixture
def spoken(full_pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[SpokenBeside]:
    with open(full_pipe[1], "w", closefd=False) as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        handler = SpokenBeside()
        monkeypatch.undo()
        log.addHandler(handler)
        yield handler
        log.removeHandler(handler)
        handler.close()


def read(reader: int, until: str) -> str:
    found = ""
    os.set_blocking(reader, False)
    deadline = time.monotonic() + 20
    while until not in found:
        assert time.monotonic() < deadline, found
        with contextlib.suppress(BlockingIOError):
            found += os.read(reader, 1 << 16).decode()
        time.sleep(0.001)
    return found


def test_no_line_is_waited_for_and_what_was_left_out_is_counted(
    full_pipe: tuple[int, int], spoken: SpokenBeside
) -> None:
    started = time.perf_counter()
    for number in range(ROOM + 100):
        log.warning("line %d", number)
    assert time.perf_counter() - started < 1
    found = read(full_pipe[0], "left out")
    lines = [line for line in found.lstrip("x").splitlines() if line.startswith("line")]
    (left_out,) = [int(word) for word in found.split() if word.isdecimal()][-1:]
    assert lines == [f"line {number}" for number in range(len(lines))]
    assert len(lines) + left_out == ROOM + 100
    assert left_out in (99, 100)  # one may be on its way
    log.warning("and on")
    assert "left out" not in read(full_pipe[0], "and on")


def test_an_end_is_not_waited_for_long(spoken: SpokenBeside) -> None:
    log.warning("never read")
    started = time.monotonic()
    spoken.close()
    assert time.monotonic() - started < 2


def test_a_reader_that_went_away_ends_nothing(
    full_pipe: tuple[int, int], spoken: SpokenBeside
) -> None:
    os.close(full_pipe[0])
    for number in range(10):
        log.warning("line %d", number)
    spoken.close()
