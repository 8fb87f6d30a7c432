"""Whether a candidate is better than what a board runs, and what is missing where it is not sure.

It must not be worse on any set of pictures by more than a bound, with 95% confidence, and it must
be better on at least one, with the same. No class may lose more than a bound of its own; there it
is counted, since a class has too few pictures for an interval to tell.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgecnn.comparison.figure import Figure
from edgecnn.paired import Change, Paired


@dataclass(frozen=True)
class Bounds:
    """How much worse a candidate may be, in percentage points."""

    drop: float = 2.0
    """On any set of pictures, as the lower end of its interval."""
    class_drop: float = 2.0
    """Of a class, or one picture where that is more."""


@dataclass(frozen=True)
class Settled:
    """Labelled frames on which the two differ, of those kept for that: who is right."""

    frames: int = 0
    old: int = 0
    new: int = 0

    def to_json(self) -> dict[str, int]:
        """As in `deploy --json`."""
        return vars(self)


@dataclass(frozen=True)
class Room:
    """Memory on a board, in bytes."""

    needed: int
    """What the candidate's process takes there."""
    free: int
    """What there is for it when the current one has ended."""

    def to_json(self) -> dict[str, int]:
        """As in `deploy --json`."""
        return {f"{name}_bytes": value for name, value in vars(self).items()}


@dataclass(frozen=True)
class Judgement:
    """What speaks for a candidate and against it."""

    sets: Mapping[str, Paired]
    """By the name of a set of pictures, such as `held-out pictures`."""
    settled: Settled
    figures: tuple[Figure, ...]
    """Latency and memory on the board, of each engine."""
    room: Room | None
    """None where the board does not tell what is free."""
    missing: tuple[str, ...]
    """What keeps it from being promoted; nothing: it is better."""
    notes: tuple[str, ...] = ()

    @property
    def better(self) -> bool:
        """Whether it may take the place of the other."""
        return not self.missing

    @property
    def brief(self) -> dict[str, str]:
        """A line for each set, for a board's history."""
        return {name: found.whole.text for name, found in self.sets.items()}

    def to_json(self) -> dict[str, Any]:
        """As in `deploy --json`."""
        return {
            "better": self.better,
            "missing": list(self.missing),
            "notes": list(self.notes),
            "sets": {name: found.to_json() for name, found in self.sets.items()},
            "disagreements": self.settled.to_json(),
            "figures": [figure.to_json() for figure in self.figures],
            "room": self.room.to_json() if self.room else None,
        }


def judge(
    sets: Mapping[str, Paired],
    bounds: Bounds,
    *,
    settled: Settled | None = None,
    figures: tuple[Figure, ...] = (),
    room: Room | None = None,
    lost_labels: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> Judgement:
    """Weigh it all; `lost_labels` are those that the candidate no longer knows."""
    missing = [f"it no longer knows the class '{label}'" for label in lost_labels]
    for name, found in sets.items():
        missing += _losses(name, found, bounds)
    if not any(found.whole.interval[0] > 0 for found in sets.values()):
        missing.append(_not_better(sets))
    missing += [
        f"{figure.name} in {figure.subject} is {figure.change:+.0%} there, beyond noise"
        for figure in figures
        if figure.verdict == "regression"
    ]
    if room and room.needed > room.free:
        missing.append(
            f"it takes {room.needed / 1e6:.0f} MB of memory there, and {room.free / 1e6:.0f} MB "
            "are free for it"
        )
    return Judgement(dict(sets), settled or Settled(), figures, room, tuple(missing), notes)


def _losses(name: str, found: Paired, bounds: Bounds) -> list[str]:
    whole, missing = found.whole, []
    low = whole.interval[0]
    if whole.points < -bounds.drop:
        missing.append(f"on {name} it is worse: {whole.text}")
    elif low < -bounds.drop:
        more = _more(whole, -bounds.drop)
        missing.append(
            f"on {name} it may lose up to {-low:.1f} points, and --max-drop is {bounds.drop:g}: "
            f"{whole.text}; about {more:,} more of them labelled would tell"
        )
    for label, change in found.worse.items():
        allowed = max(1.0, bounds.class_drop / 100 * change.count)
        if change.lost - change.gained > allowed:
            missing.append(
                f"on {name} the class '{label}' loses {change.lost - change.gained} of "
                f"{change.count}, {change.points:+.1f} points (p = {change.p_value:.2f}); "
                f"--max-class-drop is {bounds.class_drop:g}"
            )
    return missing


def _not_better(sets: Mapping[str, Paired]) -> str:
    said = "; ".join(f"{name}: {found.whole.text}" for name, found in sets.items())
    rising = [(found.whole, name) for name, found in sets.items() if found.whole.points > 0]
    if not rising:
        return f"it is not better on any pictures ({said})"
    more, name = min((_more(whole, 0.0), name) for whole, name in rising)
    return (
        f"that it is better is not sure yet ({said}): if it is, about {more:,} more {name} with "
        "labels would show it"
    )


def _more(change: Change, bound: float) -> int:
    """How many more pictures narrow the interval so far that it ends at a bound below `points`."""
    wide, wanted = change.points - change.interval[0], change.points - bound
    return max(1, math.ceil(change.count * ((wide / max(wanted, 0.1)) ** 2 - 1)))
