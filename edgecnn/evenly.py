"""Some of many, spread over all of them."""

from typing import Protocol, TypeVar

Some = TypeVar("Some", covariant=True)


class _Sliced(Protocol[Some]):
    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Some: ...


def evenly(items: _Sliced[Some], most: int) -> Some:
    """Every nth from the first on, so that there are at most so many (1 or more)."""
    return items[:: stride(len(items), most)]


def stride(count: int, most: int) -> int:
    """From one to the next, for at most so many of that count."""
    return max(1, -(-count // most))
