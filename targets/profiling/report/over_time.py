"""Where a run's latency, heat and clock stand in the drawing of its time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgecnn.evenly import evenly
from edgecnn.targets.profiling.profile import ProfileRun
from edgecnn.targets.profiling.report.charts import MARGIN, WIDTH, Mark, name_of, ticks_between

PANEL_HEIGHT = 90
FEWEST = 5
"""Seconds below which a run has no course to show."""
POINTS = 300
UNITS = {"c": "°C", "mhz": "MHz", "w": "W", "cores": "cores", "load": "fraction"}
NAMES = {"other": "other programs", "stolen": "taken by the hypervisor"}
LATENCIES = ("p90", "p50")


@dataclass(frozen=True)
class Line:
    """One figure along the time."""

    label: str
    points: str
    """As SVG's polyline takes them."""


@dataclass(frozen=True)
class Panel:
    """Figures of one unit above the common time."""

    title: str
    lines: tuple[Line, ...]
    ticks: tuple[Mark, ...]


@dataclass(frozen=True)
class Course:
    """A run along its time."""

    name: str
    panels: tuple[Panel, ...]
    ticks: tuple[Mark, ...]
    """Of the time."""
    summary: str


def course(run: ProfileRun) -> Course | None:
    """Latency and every figure the machine shows; None for a run of a few seconds."""
    if len(run.moments) < FEWEST:
        return None
    # Of a long run every nth second: a drawing has no more pixels.
    rows = [moment.to_json() for moment in evenly(run.moments, POINTS)]
    times = [row["time_s"] for row in rows]
    panels = [_panel("latency, ms", times, {k: [r[f"{k}_ms"] for r in rows] for k in LATENCIES})]
    for key in rows[0].keys() - {"time_s", "count", "p50_ms", "p90_ms"}:
        values = [row[key] for row in rows]
        if all(isinstance(value, int | float) for value in values):
            words, _, unit = key.rpartition("_")
            if unit in UNITS:
                title = f"{NAMES.get(words, words)}, {UNITS[unit]}"
                panels.append(_panel(title, times, {"": values}))
    panels[1:] = sorted(panels[1:], key=lambda panel: panel.title)
    end = max(times)
    return Course(
        name=name_of(run),
        panels=tuple(panels),
        ticks=tuple(
            Mark(_across(t, end), f"{t:g} s") for t in ticks_between(0, end, 6) if t <= end
        ),
        summary=_summary(run),
    )


def _summary(run: ProfileRun) -> str:
    drift = run.drift
    if drift is None:
        return "Too short to tell whether the latency holds: --seconds 600 does."
    low, high = drift.change_interval
    return (
        f"p90 of the first {drift.part_s:.0f} s {drift.burst_p90_ms:.2f} ms, of the last "
        f"{drift.sustained_p90_ms:.2f} ms: {drift.change:+.1%} ({low:+.1%} to {high:+.1%} with "
        "95% confidence)." + _energy(run)
    )


def _energy(run: ProfileRun) -> str:
    if (energy := run.energy) is None:
        return ""
    low, high = energy.mj_interval
    return (
        f" An inference takes {energy.mj:.3g} mJ ({low:.3g} to {high:.3g}): "
        f"{energy.running_w:.2f} W while it runs, less {energy.idle_w:.2f} W idle."
    )


def _panel(title: str, times: Sequence[float], figures: dict[str, Sequence[float]]) -> Panel:
    together = [value for values in figures.values() for value in values]
    ticks = ticks_between(min(together), max(together), 3)
    low, high = ticks[0], ticks[-1]

    def up(value: float) -> float:
        return PANEL_HEIGHT * (1 - (value - low) / (high - low))

    lines = tuple(
        Line(
            label,
            " ".join(
                f"{_across(t, max(times)):.1f},{up(value):.1f}"
                for t, value in zip(times, values, strict=True)
            ),
        )
        for label, values in figures.items()
    )
    return Panel(title, lines, tuple(Mark(up(tick), f"{tick:g}") for tick in ticks))


def _across(time_s: float, end: float) -> float:
    return MARGIN + (WIDTH - MARGIN) * time_s / max(end, np.finfo(float).tiny)
