"""Checks of what Python code passes, as strict as the command line's."""

import math
import numbers
from collections.abc import Iterable, Sequence

from edgecnn.errors import EdgeCnnError, UnknownName


def one_of(kind: str, word: object, known: Iterable[str]) -> None:
    """Raise `UnknownName`, with the nearest, for a word that is none of those known."""
    known = tuple(known)
    if word not in known:
        raise UnknownName(kind, str(word), known)


def words(given: str | Iterable[str]) -> tuple[str, ...]:
    """One word or several as several: a string is not taken letter by letter."""
    return (given,) if isinstance(given, str) else tuple(given)


def at_least(name: str, value: object, least: float, *, whole: bool = True) -> None:
    """Raise `EdgeCnnError` for anything but a number, whole or not, that is so large."""
    kind = numbers.Integral if whole else numbers.Real
    if isinstance(value, bool) or not isinstance(value, kind) or not math.isfinite(value):
        raise EdgeCnnError(f"{name} must be a {'whole ' * whole}number, not {value!r}.")
    if value < least:
        raise EdgeCnnError(f"{name} must be at least {least:g}, not {value}.")


def each_at_least(name: str, values: int | Sequence[int], least: int) -> tuple[int, ...]:
    """One whole number or several as several, each checked by `at_least`."""
    several = tuple(values) if isinstance(values, Sequence) else (values,)
    for value in several:
        at_least(name, value, least)
    return several
