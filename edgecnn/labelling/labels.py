"""What people said the frames of an inbox show: its `labels.csv`, which training takes."""

import csv
import io
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from edgecnn import labels, labels_csv
from edgecnn.atomic import hold, write_file
from edgecnn.errors import DataError
from edgecnn.inbox import FILE, Kept
from edgecnn.labels_csv import LABELS_CSV, NONE_OF_MINE

COLUMNS = ("file", "label", "board", "moment", "why", "inclusion", "by")
LONGEST = 100
UNDOABLE = 1000
Said = Mapping[str, str]
"""By each person, the label."""


class Labels:
    """Each person's label of each frame; every change is on the disk when it returns.

    The file is replaced as a whole, so that whatever ends the program it is the old one or the new
    one. Frames stay where they are.
    """

    def __init__(self, folder: Path, frames: Sequence[Kept]) -> None:
        """Read what was said so far; raises `DataError` for other rows than those of the frames.

        Also where another program has it open.
        """
        self._path = folder / LABELS_CSV
        self._frames = {kept.file: kept for kept in frames}
        self._lock = hold(folder)
        if self._lock is None and os.name == "posix":
            raise DataError(f"{folder} is being labelled by another program: end it first.")
        self._said: dict[str, dict[str, str]] = {}
        self._rows: dict[str, str] = {}
        self._gone: list[tuple[str, ...]] = []
        self._truths: dict[str, str | None] = {}
        self._undo: list[tuple[str, bool, dict[str, Said]]] = []
        if self._path.is_file():
            try:
                self._read()
            except DataError:
                self.close()
                raise

    def close(self) -> None:
        """Let others label."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def of(self, file: str) -> Said:
        """What each person said of a frame."""
        return self._said.get(file, {})

    def truth(self, file: str) -> str | None:
        """What all say who said anything; None where nobody did, or they disagree."""
        return self._truths.get(file)

    @property
    def files(self) -> Collection[str]:
        """The frames of which anybody said anything."""
        return self._said.keys()

    @property
    def disputed(self) -> list[str]:
        """Those on which people disagree."""
        return [file for file, truth in self._truths.items() if truth is None]

    def counts(self) -> Counter[str]:
        """How many frames show each class, by what all agree on; without `NONE_OF_MINE`."""
        found = Counter(truth for truth in self._truths.values() if truth is not None)
        del found[NONE_OF_MINE]
        return found

    def give(self, files: Iterable[str], label: str, by: str, *, settles: bool = False) -> None:
        """Take one person's label of these frames: see `take`."""
        self.take(dict.fromkeys(files, label), by, settles=settles)

    def take(self, labels: Mapping[str, str], by: str, *, settles: bool = False) -> None:
        """Take one person's label of each of these frames, in the place of their own before.

        What `settles` a dispute takes the place of everybody's. Raises `DataError` for a label or a
        name that no file can hold, and for other frames; then none of them is taken.
        """
        person(by)
        for label in set(labels.values()):
            checked(label)
        if unknown := [file for file in labels if file not in self._frames]:
            raise DataError(f"{unknown[0]!a:.60} is no frame of this inbox.")
        before = {file: self.of(file) for file in labels}
        for file, label in labels.items():
            self._say(file, {by: label} if settles else {**self.of(file), by: label})
        self._undo.append((by, settles, before))
        del self._undo[:-UNDOABLE]
        self._write()

    def undo(self, by: str) -> list[str]:
        """Take back this person's last labels since the program started; the frames, if any."""
        for place in reversed(range(len(self._undo))):
            if self._undo[place][0] == by:
                _, settled, before = self._undo.pop(place)
                for file, said in before.items():
                    # What others said since then stays.
                    others = {who: label for who, label in self.of(file).items() if who != by}
                    mine = {by: said[by]} if by in said else {}
                    self._say(file, said if settled else others | mine)
                self._write()
                return list(before)
        return []

    def _say(self, file: str, said: Said) -> None:
        if not said:
            self._said.pop(file, None)
            self._rows.pop(file, None)
            self._truths.pop(file, None)
            return
        self._said[file] = dict(said)
        different = set(said.values())
        self._truths[file] = different.pop() if len(different) == 1 else None
        kept, text = self._frames[file], io.StringIO()
        inclusion = "" if kept.inclusion is None else repr(kept.inclusion)
        about = (kept.board or "", kept.moment, kept.why, inclusion)
        csv.writer(text, lineterminator="\n").writerows(
            (file, label, *about, by) for by, label in sorted(said.items())
        )
        self._rows[file] = text.getvalue()

    def _read(self) -> None:
        for row in labels_csv.rows(self._path):
            file = row.file.replace("\\", "/")
            if file not in self._frames and FILE.fullmatch(file):
                # Somebody took the picture away. It may come back, and its label is a person's.
                self._gone.append((file, row.label, row.board, row.moment, "", "", row.by))
                continue
            if file not in self._frames:
                raise DataError(
                    f"{self._path}, line {row.line}: {file!a} is no frame of this inbox: move the "
                    "row into another list."
                )
            self._say(file, {**self.of(file), row.by or "labels.csv": row.label})

    def _write(self) -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        text.write("".join(self._rows.values()))
        writer.writerows(self._gone)
        try:
            write_file(self._path, [text.getvalue().encode()])
        except OSError as error:
            raise DataError(f"Cannot write {self._path}: {error.strerror}.") from None


def person(name: str) -> str:
    """Who labels, if a line can hold the name; raises `DataError` for any other."""
    try:
        return checked(name)
    except DataError:
        raise DataError(
            f"{name!a:.40} is no name of a person who labels: write one under 'you are', or --by."
        ) from None


def checked(label: str) -> str:
    """A label that a line can hold; raises `DataError` for any other."""
    labels.checked([label])
    if len(label) > LONGEST:
        raise DataError(f"{label[:40]!a}... is longer than {LONGEST} characters.")
    return label
