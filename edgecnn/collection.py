"""The writer of a folder of kept frames: nothing half written, whatever ends the program.

A picture is written under another name, is on the disk, and takes its name; then comes its line.
What goes, goes in the other order. So a kept frame is whole, and what a cut leaves is one picture
without a line, a torn line, or lines without a picture: the next one that opens the folder clears
that up. Files that were not kept here, a person's own among the pictures, are left alone.
"""

import contextlib
import errno
import hashlib
import json
import logging
import os
import threading
from collections import deque
from collections.abc import Container
from io import FileIO
from pathlib import Path
from typing import Any, Self

from edgecnn import inbox
from edgecnn.atomic import hold, part_of, sync, whole_of, write_file
from edgecnn.errors import EdgeCnnError
from edgecnn.inbox import DIGITS, FILE, FRAMES, LINES, Kept

log = logging.getLogger(__name__)
BLOCK = 4096
"""Bytes: what a file takes on a disk is a multiple of it."""
ROOM = 0.1
"""Of the limit, that is made free at once."""
RANDOM_SHARE = 0.25
"""Of the limit, that frames of the random stream keep where the others want all of it."""


class Collection:
    """A folder that grows by a frame at a time, from one program; any of its threads may add.

    With a limit, the oldest frames go where a new one has no room: of the random stream only while
    it has more than its share, so that frames that are hard and those that tell the accuracy do
    not drive out each other.
    """

    def __init__(self, folder: Path, *, limit_bytes: int | None = None) -> None:
        """Open it, or make it.

        Raises `EdgeCnnError` where it cannot be written, is in use, or holds other lines.
        """
        self.folder, self._limit = folder, limit_bytes
        self._change = threading.Lock()
        try:
            (folder / FRAMES).mkdir(parents=True, exist_ok=True)
            self._lock = hold(folder / FRAMES)
            if self._lock is None and os.name == "posix":
                raise EdgeCnnError(
                    f"{folder} is being written by another program: end it, or choose another."
                )
            self._stream = self._opened()
            with contextlib.ExitStack() as unless_whole:
                unless_whole.callback(self.close)
                self._kept = self._cleared()
                self._length = (folder / LINES).stat().st_size
                self._pictures = sum(size for size, _ in self._kept.values())
                self._make_room(0)
                unless_whole.pop_all()
        except OSError as error:
            raise EdgeCnnError(f"Cannot write {folder}: {error.strerror}.") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def disk_bytes(self) -> int:
        """What it takes on the disk."""
        return self._pictures + _on_disk(self._length)

    def has(self, kept: Kept) -> bool:
        """Whether a frame is there, and of the random stream if it is of it now."""
        return kept.file in self._kept and (self._kept[kept.file][1] or not kept.random)

    def add(self, picture: bytes, suffix: str, **said: Any) -> Kept | None:
        """Keep a picture of these bytes, with what `Kept` says beside file and hash.

        None if it is there already. One that was kept for being hard, and is drawn at random when
        it is seen again, is of the random stream from then on: without such frames the others
        would flatter. Raises `OSError` where the disk is full or broken, or the limit has no room
        for it; then nothing of it is left.
        """
        sha256 = hashlib.sha256(picture).hexdigest()
        kept = Kept(file=f"{FRAMES}/{sha256[:DIGITS]}{suffix}", sha256=sha256, **said)
        line = (json.dumps(kept.to_json(), ensure_ascii=False) + "\n").encode()
        # The lines' last block may be a new one.
        size, more = _on_disk(len(picture)), _on_disk(len(line)) + BLOCK
        with self._change:
            if self.has(kept):
                return None
            self._make_room(size + more)
            if kept.file in self._kept:
                self._write_line(line)
            else:
                self._write(kept.file, picture, line)
                self._pictures += size
            self._kept[kept.file] = size, kept.random
        return kept

    def close(self) -> None:
        """Let others write into it."""
        self._stream.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _opened(self) -> FileIO:
        return (self.folder / LINES).open("ab", buffering=0)

    def _cleared(self) -> dict[str, tuple[int, bool]]:
        """Clear up what a cut left; what there is: by name its size, and whether it is random."""
        part_of(self.folder / LINES).unlink(missing_ok=True)
        data = (self.folder / LINES).read_bytes()
        try:
            found = inbox.parse(data)
        except ValueError as error:
            raise EdgeCnnError(
                f"{self.folder / LINES}, {error}: choose another folder, or move this one away."
            ) from None
        sizes = self._sizes()
        there = {
            kept.file: (_on_disk(sizes[kept.file]), kept.random)
            for kept in found
            if sizes.get(kept.file)
        }
        if len(there) < len(found):
            self._rewrite(there)
        elif not data.endswith(b"\n"):
            self._stream.truncate(data.rfind(b"\n") + 1)
        without_line = sizes.keys() - there.keys()
        if len(without_line) > 1:
            # No cut leaves more than one: their lines were lost in another way.
            log.warning(
                "edgecnn: %d pictures in %s are on no line of %s: they are left alone.",
                *(len(without_line), self.folder / FRAMES, LINES),
            )
            return there
        for file in without_line:
            (self.folder / file).unlink()
        return there

    def _sizes(self) -> dict[str, int]:
        """Bytes of each picture that was kept here; what is half written goes."""
        sizes = {}
        for entry in os.scandir(self.folder / FRAMES):
            file = f"{FRAMES}/{entry.name}"
            if FILE.fullmatch(file) and entry.is_file():
                sizes[file] = entry.stat().st_size
            elif (whole := whole_of(entry.name)) and FILE.fullmatch(f"{FRAMES}/{whole}"):
                Path(entry.path).unlink()
        return sizes

    def _make_room(self, size: int) -> None:
        """Let the oldest frames go until there is room for so many bytes more."""
        if self._limit is None or self.disk_bytes + size <= self._limit:
            return
        wanted = self._limit * (1 - ROOM) - size
        if wanted < 0:
            raise OSError(
                errno.EFBIG, f"a limit of {self._limit} bytes has no room for a frame of {size}"
            )
        oldest: dict[bool, deque[str]] = {True: deque(), False: deque()}
        for file, (_, random) in self._kept.items():
            oldest[random].append(file)
        of_random = sum(self._kept[file][0] for file in oldest[True])
        line = self._length / max(1, len(self._kept))
        gone = 0
        while self._kept and self.disk_bytes - gone * line > wanted:
            random = of_random > RANDOM_SHARE * self._limit or not oldest[False]
            file = oldest[random].popleft()
            # Before their lines: a disk that is full has room for the new ones then.
            (self.folder / file).unlink(missing_ok=True)
            taken, _ = self._kept.pop(file)
            self._pictures -= taken
            of_random -= taken if random else 0
            gone += 1
        sync(self.folder / FRAMES)
        self._rewrite(self._kept)

    def _rewrite(self, left: Container[str]) -> None:
        """Lines of these frames only, in one step."""
        with (self.folder / LINES).open("rb") as old:
            whole = (line for line in old if line.endswith(b"\n"))
            kept = (line for line in whole if json.loads(line)["file"] in left)
            write_file(self.folder / LINES, kept)
        self._stream.close()
        self._stream = self._opened()
        self._length = (self.folder / LINES).stat().st_size

    def _write(self, file: str, picture: bytes, line: bytes) -> None:
        write_file(self.folder / file, [picture])
        try:
            self._write_line(line)
        except OSError:
            (self.folder / file).unlink(missing_ok=True)
            raise

    def _write_line(self, line: bytes) -> None:
        # A part of a line, of which a broken disk would not let go before.
        self._stream.truncate(self._length)
        try:
            written = 0
            while written < len(line):
                written += self._stream.write(line[written:])
            os.fsync(self._stream.fileno())
        except OSError:
            self._stream.truncate(self._length)
            raise
        self._length += len(line)


def _on_disk(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
