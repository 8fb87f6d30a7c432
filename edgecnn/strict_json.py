"""JSON from outside, as strict as what is written here: nothing in it can be read two ways."""

import json
import unicodedata
from pathlib import Path
from typing import Any

LARGEST = 32 << 20
"""Bytes. The manifest of the zoo's largest network has less than half a million."""
BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They show what follows in another order than it is."""


def read(path: Path) -> Any:
    """What a file says; raises `OSError`, and what `parse` raises."""
    with path.open("rb") as stream:
        return parse(stream.read(LARGEST + 1))


def parse(data: bytes | str) -> Any:
    """What the bytes say.

    Raises `ValueError` for anything but UTF-8 and JSON, and for what JSON leaves open: keys that
    are there twice, numbers that are not finite, nesting as deep as no program writes, control
    characters, which would be a terminal's commands.
    """
    if len(data) > LARGEST:
        raise ValueError(f"it has more than {LARGEST >> 20} MB")
    try:
        found = json.loads(
            data.decode() if isinstance(data, bytes) else data,
            object_pairs_hook=_without_duplicates,
            parse_constant=_not_finite,
        )
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _check_text(found)
    return found


def typed(found: Any, **types: type) -> None:
    """Raise `TypeError` where a key that is there holds something else; true is no number."""
    if not isinstance(found, dict):
        raise TypeError(f"it holds {found!r:.40}")
    for key, kind in types.items():
        if key in found and type(found[key]) is not kind:
            raise TypeError(f"{key!a} is {found[key]!r:.40}")


def hidden(text: str) -> str | None:
    """The first character that a terminal would obey rather than show; None where all are text."""
    if text.isprintable():  # what mostly is, is known at once
        return None
    for character in text:
        if (unicodedata.category(character) == "Cc" and character != "\t") or character in BIDI:
            return character
    return None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!a} is there twice")
        found[key] = value
    return found


def _not_finite(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _check_text(found: Any) -> None:
    waiting = [found]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str) and (character := hidden(value.replace("\n", " "))):
            raise ValueError(f"{value[:40]!a} holds the control character {character!a}")
        elif isinstance(value, float) and value in (float("inf"), float("-inf")):
            raise ValueError("a number is too large")
