"""`labels.csv`: which label each picture has, as spreadsheets and people write it."""

import csv
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecnn.errors import DataError
from edgecnn.inbox import is_inbox

log = logging.getLogger(__name__)
LABELS_CSV = "labels.csv"
COLUMNS = ("file", "label")
MORE_COLUMNS = ("by", "board", "moment")
NONE_OF_MINE = "none of mine"
"""The label of a picture that shows no class: nobody trains on it."""


@dataclass(frozen=True)
class Listed:
    """What a list says of a picture."""

    label: str
    moment: str | None = None
    """Where and when it was seen, if that is known: pictures of one moment are alike."""


@dataclass(frozen=True)
class Row:
    """A row that is not blank; columns that are not there are empty."""

    line: int
    file: str
    label: str
    by: str = ""
    """Who says so."""
    board: str = ""
    moment: str = ""


def read(path: Path, *, empty_labels: bool = False) -> dict[Path, Listed]:
    """Files, relative to the CSV's folder, with their labels, in the order listed.

    Commas, semicolons or tabs divide; a byte order mark, spaces around a value, capitals in the
    columns' names, a `\\` between folders and a row that repeats another are no matter. With
    `empty_labels` a picture may have none. Left out are pictures labelled `NONE_OF_MINE`, and, with
    a word on the log, those that people (the column `by`) label differently, and frames that
    somebody took out of an inbox. Raises `DataError` for anything else that is wrong, with its
    line.
    """
    found: dict[Path, Row] = {}
    disputed: set[Path] = set()
    for row in rows(path):
        if not row.file or not (row.label or empty_labels):
            missing = COLUMNS[0] if not row.file else COLUMNS[1]
            raise DataError(f"{path}, line {row.line}: the column '{missing}' is empty.")
        picture = _located(path.parent, row.file)
        first = found.setdefault(picture, row)
        if first.label != row.label and first.by == row.by:
            raise DataError(
                f"{path}, line {row.line}: {row.file} is '{row.label}' here and '{first.label}' in "
                f"line {first.line}: leave one of them."
            )
        if first.label != row.label:
            disputed.add(picture)
    missing_files = [file for file in found if not file.is_file()]
    if missing_files and not is_inbox(path.parent):
        raise DataError(
            f"{path} names {len(missing_files)} missing files, the first {missing_files[0]}."
        )
    if missing_files:
        log.warning(
            "edgecnn: left out: %d labelled frames that are no longer there, the first %s.",
            *(len(missing_files), missing_files[0]),
        )
        for file in missing_files:
            del found[file]
            disputed.discard(file)
    if disputed:
        log.warning(
            "edgecnn: left out: %d pictures on which people disagree, the first %s.",
            *(len(disputed), min(disputed)),
        )
    kept = {
        picture: Listed(row.label, moment_of(row.board, row.moment) if row.moment else None)
        for picture, row in found.items()
        if row.label != NONE_OF_MINE and picture not in disputed
    }
    if not kept:
        raise DataError(f"{path} lists no pictures{' with a class' if found else ''}.")
    return kept


def moment_of(board: str, moment: str) -> str:
    """A moment, told apart from those of other boards."""
    return f"{board}/{moment}"


def rows(path: Path) -> Iterator[Row]:
    """Each row, whatever it says; raises `DataError` for what is no CSV with these columns."""
    try:
        yield from _rows(path)
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text: save it as CSV in UTF-8.") from None
    except csv.Error as error:
        raise DataError(f"{path} is no CSV file: {error}.") from None
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}.") from None


def write(path: Path, rows: Sequence[tuple[str, str]]) -> None:
    """Write a row of file name and label for each picture; into a folder, its `labels.csv`."""
    path = path / LABELS_CSV if path.is_dir() else path
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(rows)


def _rows(path: Path) -> Iterator[Row]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        first = stream.readline()
        stream.seek(0)
        delimiter = max(",;\t", key=first.count)
        reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True)
        names = [name.strip().lower() for name in next(reader, [])]
        if not set(COLUMNS) <= set(names):
            raise DataError(
                f"{path} needs the columns file,label in its first line, which is "
                f"{first.strip()[:60]!r}."
            )
        places = {name: names.index(name) for name in (*COLUMNS, *MORE_COLUMNS) if name in names}
        for values in reader:
            if any(value.strip() for value in values):
                padded = [*(value.strip() for value in values), *[""] * len(names)]
                said = {name: padded[place] for name, place in places.items()}
                yield Row(reader.line_num, **said)


def _located(folder: Path, file: str) -> Path:
    path = folder / file
    # A list made on Windows; a backslash may also be part of a name.
    return path if path.exists() or "\\" not in file else folder / file.replace("\\", "/")
