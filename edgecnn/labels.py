"""The names of the classes: `labels.txt`, a class a line."""

from collections.abc import Mapping, Sequence, Set
from pathlib import Path

from edgecnn.errors import DataError
from edgecnn.strict_json import hidden

LABELS = "labels.txt"


def checked(labels: Sequence[str]) -> tuple[str, ...]:
    """Labels that can be written a line each, read back and told apart; raises `DataError`."""
    if isinstance(labels, str):
        raise DataError(f"Labels are a list, one for each class, not one word: {labels!r}.")
    if isinstance(labels, Set | Mapping):  # which have no order, or another
        raise DataError(
            "Labels are a list, in the order of the network's outputs, not a "
            f"{type(labels).__name__}: of words with their places, sorted(labels, key=labels.get)."
        )
    found = tuple(labels)
    places: dict[str, int] = {}
    for index, label in enumerate(found):
        if not isinstance(label, str):
            raise DataError(f"Label {index} is {label!r}: labels are words.")
        if why := _unwritable(label):
            raise DataError(f"Label {index}, {label!a}, {why}: give the class another name.")
        first = places.setdefault(label, index)
        if first != index:
            raise DataError(
                f"'{label}' is the label of class {first} and of class {index}: nobody could tell "
                "their answers apart. Give one another name."
            )
    return found


def _unwritable(label: str) -> str | None:
    if not label.strip():
        return "is empty"
    if label != label.strip():
        return "begins or ends with white space"
    if label.startswith("\ufeff"):
        return "begins with a byte order mark, which no reader would keep"
    # Here and elsewhere, more than \n ends a line: \v, \f, U+0085, U+2028 and others.
    if label.splitlines() != [label]:
        return "has a line break in it"
    if character := hidden(label):
        return f"has the control character {character!a} in it"
    try:
        label.encode()
    except UnicodeEncodeError:
        return "is no UTF-8 text"
    return None


def read_labels(path: Path) -> tuple[str, ...]:
    """The labels in a file, a line each.

    A byte order mark, Windows' line ends, spaces around a label and empty lines at the end are
    no part of any. Raises `DataError` for a file that cannot be read or has a gap.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text: save it as a text file in UTF-8.") from None
    except OSError as error:
        raise DataError(f"Cannot read the labels {path}: {error.strerror}.") from None
    labels = [line.strip() for line in text.rstrip().split("\n")]
    for number, label in enumerate(labels, start=1):
        if not label:
            what = f"has no label in line {number}" if text.strip() else "is empty"
            raise DataError(f"{path} {what}: it needs one for each class, a line each.")
        if character := hidden(label):
            raise DataError(
                f"{path} has the control character {character!a} in line {number}, which a "
                "terminal would obey: remove it."
            )
    return tuple(labels)


def write_labels(path: Path, labels: Sequence[str]) -> None:
    """Write labels a line each; raises `DataError` for those that `checked` refuses."""
    path.write_text("\n".join(checked(labels)) + "\n", encoding="utf-8", newline="\n")
