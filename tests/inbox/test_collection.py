"""What a folder of kept frames holds, whatever ends the program that writes it."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from edgecnn import inbox
from edgecnn.atomic import write_file
from edgecnn.collection import BLOCK, Collection
from edgecnn.errors import EdgeCnnError

KILLS = 20
SAID: dict[str, Any] = {
    "time": "2026-11-27T07:00:00+00:00",
    "bundle": "0123456789ab",
    "label": "daisy",
    "probability": 0.4,
    "probabilities": {"daisy": 0.4},
    "why": "uncertain",
    "moment": "m",
}
RANDOM = SAID | {"why": "random", "inclusion": 0.001}
WRITER = """
import sys
from pathlib import Path
from edgecnn.collection import Collection
from tests.inbox.test_collection import picture, SAID

with Collection(Path(sys.argv[1]), limit_bytes=int(sys.argv[2])) as kept:
    for number in range(int(sys.argv[3]), 10**9):
        print(kept.add(picture(number), ".jpg", **SAID).file, flush=True)
"""


def picture(number: int, size: int = 6000) -> bytes:
    return random.Random(number).randbytes(size)


def disk_bytes(folder: Path) -> int:
    """As a disk counts."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sum(-(-path.stat().st_size // BLOCK) * BLOCK for path in files)


def check_whole(folder: Path) -> list[str]:
    """The names of the frames that are there: every line has its picture, and the other way."""
    found = inbox.read(folder)
    for kept in found:
        assert hashlib.sha256((folder / kept.file).read_bytes()).hexdigest() == kept.sha256
    names = [kept.file for kept in found]
    assert sorted(names) == sorted(f"frames/{path.name}" for path in (folder / "frames").iterdir())
    assert {path.name for path in folder.iterdir()} == {"frames", inbox.LINES}
    return names


def test_a_kill_at_any_moment_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    moments, limit, told = random.Random(0), 400_000, list[str]()
    for turn in range(KILLS):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path, str(limit), str(1000 * turn)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        assert writer.stdout is not None
        told.append(writer.stdout.readline().decode().strip())
        time.sleep(moments.uniform(0, 0.1))
        os.kill(writer.pid, signal.SIGKILL)
        told += writer.stdout.read().decode().split()
        writer.stdout.close()
        assert writer.wait() == -signal.SIGKILL
        assert disk_bytes(tmp_path) <= limit
        Collection(tmp_path, limit_bytes=limit).close()
        names = check_whole(tmp_path)
        # The newest that were told, in their order; one more may have had no time to be told.
        assert names == told[-len(names) :] or names[:-1] == told[-len(names) + 1 :]
        assert len(names) >= min(len(told), 35)
        told = names
    assert len(told) > 35


def test_a_torn_line_and_what_belongs_to_no_line_are_cleared_up(tmp_path: Path) -> None:
    with Collection(tmp_path) as collection:
        for number in range(4):
            collection.add(picture(number), ".jpg", **SAID)
    names = check_whole(tmp_path)
    (tmp_path / names[1]).unlink()
    (tmp_path / f"frames/.{'0' * 24}.jpg.part").write_bytes(b"half")
    lines = tmp_path / inbox.LINES
    lines.write_bytes(lines.read_bytes()[:-20])
    with Collection(tmp_path) as collection:
        assert len(collection) == 2
        # What was lost may come again, and stands on a line of its own.
        assert collection.add(picture(3), ".jpg", **SAID) is not None
        assert collection.add(picture(0), ".jpg", **SAID) is None
    assert check_whole(tmp_path) == [names[0], names[2], names[3]]


def test_it_never_takes_more_than_the_limit_and_keeps_the_newest(tmp_path: Path) -> None:
    limit, kept = 300_000, []
    with Collection(tmp_path, limit_bytes=limit) as collection:
        for number in range(200):
            said = RANDOM if number % 4 == 0 else SAID
            new = collection.add(picture(number, 3000 + 37 * number), ".jpg", **said)
            assert new is not None
            kept.append(new.file)
            if number % 10 == 0:
                assert disk_bytes(tmp_path) <= limit
                assert disk_bytes(tmp_path) == collection.disk_bytes
    found = {one.file: one for one in inbox.read(tmp_path)}
    check_whole(tmp_path)
    assert disk_bytes(tmp_path) > 0.8 * limit
    for random_ones in (True, False):
        mine = [f for f in kept if f in found and found[f].random is random_ones]
        every = [f for n, f in enumerate(kept) if (n % 4 == 0) is random_ones]
        assert mine == every[-len(mine) :]
        assert len(mine) > 5
    # A run with a smaller limit makes room.
    with Collection(tmp_path, limit_bytes=100_000) as collection:
        collection.add(picture(1000), ".jpg", **SAID)
        with pytest.raises(OSError, match="no room for a frame of 2"):
            collection.add(picture(0, 200_000), ".jpg", **SAID)
    assert disk_bytes(tmp_path) <= 100_000


def test_a_smaller_limit_holds_from_the_start(tmp_path: Path) -> None:
    with Collection(tmp_path) as collection:
        for number in range(40):
            collection.add(picture(number), ".jpg", **SAID)
    Collection(tmp_path, limit_bytes=100_000).close()
    assert 60_000 < disk_bytes(tmp_path) <= 100_000
    check_whole(tmp_path)


def test_what_a_person_has_there_stays(tmp_path: Path) -> None:
    theirs = ("holiday.jpg", "notes.txt", ".hidden", f"{'a' * 24}.gif", ".x.jpg.part")
    (tmp_path / "frames").mkdir()
    for name in theirs:
        (tmp_path / "frames" / name).write_bytes(b"precious")
    (tmp_path / "frames/older").mkdir()
    half = tmp_path / f"frames/.{'a' * 24}.jpg.part"
    half.write_bytes(b"half")
    with Collection(tmp_path) as collection:
        for number in range(4):
            collection.add(picture(number), ".jpg", **SAID)
    assert not half.exists()
    # Somebody lost the lines: whose pictures these are nobody knows.
    (tmp_path / inbox.LINES).unlink()
    Collection(tmp_path).close()
    there = {path.name for path in (tmp_path / "frames").iterdir()}
    assert there >= {*theirs, "older"}
    assert len(there) == len(theirs) + 1 + 4


def test_a_hard_frame_that_is_drawn_at_random_later_is_of_the_random_stream(tmp_path: Path) -> None:
    """The same film again: a stream without its hard frames would flatter the network."""
    for said in (SAID, RANDOM, SAID):
        with Collection(tmp_path) as collection:
            first = collection.add(picture(0), ".jpg", **said)
            again = collection.add(picture(0), ".jpg", **said)
            assert again is None
            assert (first is None) == (said is SAID and bool(inbox.read(tmp_path)[0].random))
            collection.add(picture(1), ".jpg", **SAID)
    found = inbox.read(tmp_path)
    assert [one.why for one in found] == ["random", "uncertain"]
    assert found[0].inclusion == RANDOM["inclusion"]
    assert len(check_whole(tmp_path)) == 2
    with Collection(tmp_path, limit_bytes=30_000) as collection:
        for number in range(2, 8):
            collection.add(picture(number), ".jpg", **SAID)
        assert collection.disk_bytes == disk_bytes(tmp_path)
    assert len(inbox.read(tmp_path)) == len(check_whole(tmp_path)) < 8


def test_hard_frames_do_not_drive_out_the_random_stream(tmp_path: Path) -> None:
    with Collection(tmp_path, limit_bytes=400_000) as collection:
        for number in range(20):
            collection.add(picture(number, 4000), ".jpg", **RANDOM)
        for number in range(100, 400):
            collection.add(picture(number, 4000), ".jpg", **SAID)
    assert sum(kept.random for kept in inbox.read(tmp_path)) == 20


def test_two_programs_do_not_write_into_one_folder(tmp_path: Path) -> None:
    with Collection(tmp_path), pytest.raises(EdgeCnnError, match="by another program"):
        Collection(tmp_path)
    Collection(tmp_path).close()
    (tmp_path / inbox.LINES).write_text("mine\n")
    with pytest.raises(EdgeCnnError, match="line 1"):
        Collection(tmp_path)
    assert (tmp_path / inbox.LINES).read_text() == "mine\n"
    (tmp_path / "file").touch()
    with pytest.raises(EdgeCnnError, match="Cannot write"):
        Collection(tmp_path / "file")


@pytest.mark.parametrize("fails", ["picture", "line"])
def test_a_full_disk_leaves_nothing_half(
    fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[[int], None] = os.fsync
    calls = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == {"picture": 1, "line": 3}[fails]:
            raise OSError(28, "No space left on device")
        real(descriptor)

    with Collection(tmp_path) as collection:
        collection.add(picture(0), ".jpg", **SAID)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(OSError, match="No space"):
                collection.add(picture(1), ".jpg", **SAID)
        assert len(check_whole(tmp_path)) == 1
        collection.add(picture(2), ".jpg", **SAID)
        assert len(collection) == 2
    Collection(tmp_path).close()
    assert len(check_whole(tmp_path)) == 2


def test_a_full_disk_that_cannot_take_the_lines_anew_is_counted_rightly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where old frames go for new ones and the disk fails, the limit holds all the same."""
    limit = 200_000

    def full(path: Path, parts: Iterable[bytes]) -> None:
        if path.name == inbox.LINES:
            raise OSError(28, "No space left on device")
        write_file(path, parts)

    with Collection(tmp_path, limit_bytes=limit) as collection:
        monkeypatch.setattr("edgecnn.collection.write_file", full)
        failures = 0
        for number in range(60):
            try:
                collection.add(picture(number), ".jpg", **SAID)
            except OSError:
                failures += 1
            assert disk_bytes(tmp_path) <= limit
        assert failures
        monkeypatch.undo()
        for number in range(60, 90):
            collection.add(picture(number), ".jpg", **SAID)
            assert disk_bytes(tmp_path) <= limit
    check_whole(tmp_path)
