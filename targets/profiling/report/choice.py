"""Where candidates of `edgecnn choose` stand: accuracy over latency."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgecnn.targets.profiling.report.charts import MARGIN, WIDTH, Mark, ticks_between

HEIGHT = 380
LARGEST = 14.0
"""Radius of the candidate with the most RAM."""
KINDS = ("p50", "p90", "reading", "count")
"""Style classes of the engines on the front, in the order they appear."""


@dataclass(frozen=True)
class Point:
    """A candidate."""

    x: float
    y: float
    radius: float
    low: float
    high: float
    """Ends of its interval, on the axis across."""
    title: str
    kind: str
    front: bool
    label: str = ""


@dataclass(frozen=True)
class Scatter:
    """The axis across is logarithmic."""

    points: tuple[Point, ...]
    across: tuple[Mark, ...]
    up: tuple[Mark, ...]
    limit: float | None
    engines: tuple[tuple[str, str], ...]
    """Style class and name of each."""


def scatter(found: Mapping[str, Any], candidates: Sequence[Mapping[str, Any]]) -> Scatter:
    """Of at least one candidate, whose accuracies are known."""
    shown = sorted(
        (one for one in candidates if one["front"]), key=lambda x: float(x["latency_ms"]["value"])
    )
    spans = [one["latency_ms"]["interval"] for one in shown]
    inside = [one["latency_ms"]["value"] for one in candidates]
    limit = found["limits"]["latency_ms"]
    left = math.log10(0.95 * min(inside + [low for low, _ in spans]))
    right = math.log10(1.05 * max(inside + [high for _, high in spans] + [limit or 0.0]))
    shares = [100 * one["accuracy"]["value"] for one in candidates]
    up = ticks_between(min(shares), max(shares), 6)
    most = max(one["ram_bytes"]["value"] for one in candidates)
    engines = list(dict.fromkeys(one["runtime"] for one in shown))
    kinds = {name: KINDS[i % len(KINDS)] for i, name in enumerate(engines)}

    def at(ms: float) -> float:
        place = (math.log10(ms) - left) / (right - left)
        return MARGIN + (WIDTH - MARGIN) * min(1.0, max(0.0, place))

    def point(one: Mapping[str, Any], label: str) -> Point:
        low, high = one["latency_ms"]["interval"]
        share = (100 * one["accuracy"]["value"] - up[0]) / (up[-1] - up[0])
        return Point(
            at(one["latency_ms"]["value"]),
            HEIGHT * (1 - share),
            LARGEST * math.sqrt(one["ram_bytes"]["value"] / most),
            at(low),
            at(high),
            f"{one['architecture']} {one['input']}×{one['input']}, {one['precision']}, "
            f"{one['runtime']}, {one['threads']} threads: {one['latency_ms']['value']:.1f} ms "
            f"({low:.1f} to {high:.1f}), {one['ram_bytes']['value'] / 1e6:.0f} MB, "
            f"{one['accuracy']['value']:.1%}",
            kinds.get(one["runtime"], "engine"),
            one["front"],
            label,
        )

    named: set[str] = set()
    points = [point(one, "") for one in candidates if not one["front"]]
    for one in shown:
        label = f"{one['architecture']} {one['input']}"
        points.append(point(one, "" if label in named else label))
        named.add(label)
    return Scatter(
        tuple(points),
        tuple(Mark(at(ms), f"{ms:g} ms") for ms in _round_between(10**left, 10**right)),
        tuple(Mark(HEIGHT * (1 - (y - up[0]) / (up[-1] - up[0])), f"{y:g}%") for y in up),
        None if limit is None else at(limit),
        tuple((kind, name) for name, kind in kinds.items()),
    )


def _round_between(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, ... between two positive values."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [m * 10.0**n for n in powers for m in (1, 2, 5) if low <= m * 10.0**n <= high]
