"""`labels.csv`: which label each picture has, as spreadsheets and people write it."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgecnn.errors import DataError

LABELS_CSV = "labels.csv"
COLUMNS = ("file", "label")


def read(path: Path, *, empty_labels: bool = False) -> dict[Path, str]:
    """Files, relative to the CSV's folder, with their labels, in the order listed.

    Commas, semicolons or tabs divide; a byte order mark, spaces around a value, capitals in the
    columns' names, a `\\` between folders and a row that repeats another are no matter. With
    `empty_labels` a picture may have none. Raises `DataError` for anything else that is wrong,
    with its line.
    """
    found: dict[Path, str] = {}
    lines: dict[Path, int] = {}
    try:
        for line, file, label in _rows(path):
            if not file or not (label or empty_labels):
                missing = COLUMNS[0] if not file else COLUMNS[1]
                raise DataError(f"{path}, line {line}: the column '{missing}' is empty.")
            picture = _located(path.parent, file)
            if found.setdefault(picture, label) != label:
                raise DataError(
                    f"{path}, line {line}: {file} is '{label}' here and '{found[picture]}' in line "
                    f"{lines[picture]}: leave one of them."
                )
            lines.setdefault(picture, line)
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text: save it as CSV in UTF-8.") from None
    except csv.Error as error:
        raise DataError(f"{path} is no CSV file: {error}.") from None
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}.") from None
    missing_files = [file for file in found if not file.is_file()]
    if missing_files:
        raise DataError(
            f"{path} names {len(missing_files)} missing files, the first {missing_files[0]}."
        )
    if not found:
        raise DataError(f"{path} lists no pictures.")
    return found


def write(folder: Path, rows: Sequence[tuple[str, str]]) -> None:
    """Write `labels.csv`: a row of file name and label for each picture."""
    with (folder / LABELS_CSV).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(rows)


def _rows(path: Path) -> Iterator[tuple[int, str, str]]:
    """Line, file and label of each row that is not blank."""
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
        file, label = map(names.index, COLUMNS)
        for row in reader:
            if any(value.strip() for value in row):
                padded = [*(value.strip() for value in row), *[""] * len(names)]
                yield reader.line_num, padded[file], padded[label]


def _located(folder: Path, file: str) -> Path:
    path = folder / file
    # A list made on Windows; a backslash may also be part of a name.
    return path if path.exists() or "\\" not in file else folder / file.replace("\\", "/")
