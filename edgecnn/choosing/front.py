"""Which candidates nothing beats, which keep within limits, and how near the others come."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Origin = Literal["measured here", "measured there", "predicted", "published"]
MEGABYTE = 1e6
"""Less RAM by a part of it beats nothing."""


@dataclass(frozen=True)
class Figure:
    """A figure, between which it lies, and where it comes from."""

    value: float
    low: float
    high: float
    origin: Origin
    basis: str
    """What it rests on, in words."""


@dataclass(frozen=True)
class Candidate:
    """A network as it would run on a board."""

    architecture: str
    side: int
    precision: str
    runtime: str
    threads: int
    latency_ms: Figure
    ram_bytes: Figure
    accuracy: Figure | None = None
    """Top-1, a fraction; None: unknown."""
    run: str | None = None
    """The training run that its accuracy was measured of."""

    def to_json(self) -> dict[str, Any]:
        """As in `edgecnn choose --json`."""
        found = {
            "architecture": self.architecture,
            "input": self.side,
            "precision": self.precision,
            "runtime": self.runtime,
            "threads": self.threads,
        }
        figures = {
            "latency_ms": self.latency_ms,
            "ram_bytes": self.ram_bytes,
            "accuracy": self.accuracy,
        }
        told = {
            name: None
            if one is None
            else {
                "value": one.value,
                "interval": [one.low, one.high],
                "origin": one.origin,
                "basis": one.basis,
            }
            for name, one in figures.items()
        }
        return found | told | {"run": self.run}


@dataclass(frozen=True)
class Limits:
    """What a candidate has to keep within; None: no limit."""

    latency_ms: float | None = None
    ram_bytes: float | None = None
    accuracy: float | None = None

    def missed(self, one: Candidate) -> dict[str, float]:
        """By how much of each limit that it misses, as a share of it."""
        found = {}
        if self.latency_ms is not None and one.latency_ms.value > self.latency_ms:
            found["latency"] = one.latency_ms.value / self.latency_ms - 1
        if self.ram_bytes is not None and one.ram_bytes.value > self.ram_bytes:
            found["ram"] = one.ram_bytes.value / self.ram_bytes - 1
        if self.accuracy is not None and one.accuracy is not None:
            short = self.accuracy - one.accuracy.value
            if short > 0:
                found["accuracy"] = short / self.accuracy
        return found

    def surely(self, one: Candidate) -> bool:
        """Whether it keeps within them wherever in its intervals it lies."""
        return (
            (self.latency_ms is None or one.latency_ms.high <= self.latency_ms)
            and (self.ram_bytes is None or one.ram_bytes.high <= self.ram_bytes)
            and (
                self.accuracy is None
                or (one.accuracy is not None and one.accuracy.low >= self.accuracy)
            )
        )


def beats(one: Candidate, other: Candidate) -> bool:
    """Whether `one` is at least as good in everything, and better in something.

    A network is not beaten by another of which nobody knows how often it is right; one and the
    same network at the same input and precision answers alike in every engine.
    """
    same = (one.architecture, one.side, one.precision, one.run) == (
        *(other.architecture, other.side, other.precision),
        other.run,
    )
    if one.accuracy is None or other.accuracy is None:
        if not same:
            return False
        right = 0.0, 0.0
    else:
        right = -one.accuracy.value, -other.accuracy.value
    mine = (one.latency_ms.value, round(one.ram_bytes.value / MEGABYTE), right[0])
    theirs = (other.latency_ms.value, round(other.ram_bytes.value / MEGABYTE), right[1])
    return mine != theirs and all(a <= b for a, b in zip(mine, theirs, strict=True))


def front(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that none of the others beats, the most often right and then the fastest first."""
    left = [one for one in candidates if not any(beats(other, one) for other in candidates)]
    return sorted(left, key=_order)


def nearest(candidates: Iterable[Candidate], limits: Limits) -> tuple[Candidate, dict[str, float]]:
    """The candidate, of at least one, whose worst miss is the smallest, and what it misses."""
    misses = [(one, limits.missed(one)) for one in candidates]
    return min(misses, key=lambda pair: (max(pair[1].values(), default=0.0), _order(pair[0])))


def _order(one: Candidate) -> tuple[float, float, float]:
    right = one.accuracy.value if one.accuracy else -1.0
    return -right, one.latency_ms.value, one.ram_bytes.value
