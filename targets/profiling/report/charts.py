"""Where things stand in the report's drawings; the template turns it into SVG.

Lengths are in user units of a drawing `WIDTH` wide, from its upper left corner.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecnn.targets.profiling.profile import ProfileRun

WIDTH = 960
MARGIN = 64
"""Left of the drawing, for the axis."""
LABELS = 80
"""Left of the bars, for `predicted` and `measured`."""
TIMELINE_HEIGHT = 260
BAR_HEIGHT = 22
HISTOGRAM_HEIGHT = 180
BINS = 60


@dataclass(frozen=True)
class Bar:
    """A rectangle with what it stands for."""

    x: float
    y: float
    width: float
    height: float
    title: str
    kind: str = ""
    """The style class."""


@dataclass(frozen=True)
class Mark:
    """A line across the drawing at `at`, with its label."""

    at: float
    label: str


@dataclass(frozen=True)
class Timeline:
    """A bar for each layer, the highest marked."""

    bars: tuple[Bar, ...]
    ticks: tuple[Mark, ...]
    peak: Mark
    """Where the peak's bar is, and which layer it is."""
    arena: float | None = None
    """Where the planned arena's line is, of bytes."""


@dataclass(frozen=True)
class MemoryBars:
    """Predicted above measured memory of one engine."""

    name: str
    predicted: tuple[Bar, ...]
    measured: tuple[Bar, ...]
    gap: Bar | None
    summary: str


@dataclass(frozen=True)
class Histogram:
    """Latencies of one engine."""

    name: str
    bars: tuple[Bar, ...]
    ticks: tuple[Mark, ...]
    percentiles: tuple[Mark, ...]
    interval: Bar
    """The 95% interval of the 90th percentile."""


def timeline(analysis: Mapping[str, Any]) -> Timeline:
    """The live bytes of a RAM analysis with at least one layer."""
    layers = analysis["layers"]
    most = max(analysis["arena_bytes"], analysis["liveness_peak_bytes"])
    ticks = _ticks(most)
    scale = TIMELINE_HEIGHT / max(most, ticks[-1])
    step = (WIDTH - MARGIN) / len(layers)
    peak = max(range(len(layers)), key=lambda i: layers[i]["live_bytes"])
    bars = tuple(
        Bar(
            x=MARGIN + i * step,
            y=TIMELINE_HEIGHT - layer["live_bytes"] * scale,
            width=max(step - min(1.0, step / 5), 0.5),
            height=layer["live_bytes"] * scale,
            title=f"{layer['name']}: {layer['live_bytes']:,} bytes alive, "
            f"{layer['output_bytes']:,} of them written, {layer['macs']:,} MACs",
            kind="peak" if i == peak else "alive",
        )
        for i, layer in enumerate(layers)
    )
    return Timeline(
        bars=bars,
        ticks=tuple(Mark(TIMELINE_HEIGHT - t * scale, f"{t / 1e6:g} MB") for t in ticks),
        peak=Mark(
            bars[peak].x + bars[peak].width / 2,
            f"{layers[peak]['name']}: {layers[peak]['live_bytes'] / 1e6:.3f} MB",
        ),
        arena=TIMELINE_HEIGHT - analysis["arena_bytes"] * scale,
    )


def layer_errors(ratios: Mapping[str, float]) -> Timeline:
    """The signal-to-noise ratio of each layer in decibel, the lowest marked."""
    most = max(1.0, *ratios.values())
    ticks = _ticks(most)
    scale = TIMELINE_HEIGHT / ticks[-1]
    step = (WIDTH - MARGIN) / len(ratios)
    worst = min(ratios, key=lambda name: ratios[name])
    bars = tuple(
        Bar(
            x=MARGIN + i * step,
            y=TIMELINE_HEIGHT - max(value, 0.0) * scale,
            width=max(step - min(1.0, step / 5), 0.5),
            height=max(value, 0.0) * scale,
            title=f"{name}: {value:.1f} dB",
            kind="peak" if name == worst else "alive",
        )
        for i, (name, value) in enumerate(ratios.items())
    )
    place = list(ratios).index(worst)
    return Timeline(
        bars=bars,
        ticks=tuple(Mark(TIMELINE_HEIGHT - t * scale, f"{t:g} dB") for t in ticks),
        peak=Mark(bars[place].x + bars[place].width / 2, f"{worst}: {ratios[worst]:.1f} dB"),
    )


def comparisons(runs: Sequence[ProfileRun]) -> list[MemoryBars]:
    """All engines to one scale."""
    most = max(
        max(run.memory_bytes.peak, run.predicted_bytes.peak if run.predicted_bytes else 0)
        for run in runs
    )
    return [_comparison(run, (WIDTH - LABELS) / most) for run in runs]


def _comparison(run: ProfileRun, scale: float) -> MemoryBars:
    used, said = run.memory_bytes, run.predicted_bytes
    steps = {
        "Python": used.before_load,
        "load": used.after_load - used.before_load,
        "first inference": used.after_first_inference - used.after_load,
        "until the peak": used.peak - used.after_first_inference,
    }
    measured = _stacked(steps, scale)
    if said is None:
        return MemoryBars(name_of(run), (), measured, None, "no prediction: no RAM analysis")
    parts = {
        "engine": said.baseline,
        "weights": said.weights,
        "activations": said.arena,
        "operators": said.graph,
    }
    missing = used.peak - said.peak
    grown = used.peak - used.before_load
    ends = LABELS + min(used.peak, said.peak) * scale
    return MemoryBars(
        name=name_of(run),
        predicted=_stacked(parts, scale),
        measured=measured,
        gap=Bar(
            x=ends,
            y=0 if missing > 0 else BAR_HEIGHT + 6,
            width=abs(missing) * scale,
            height=BAR_HEIGHT,
            title=f"{abs(missing):,} bytes",
            kind="gap",
        ),
        summary=f"predicted {said.peak / 1e6:.1f} MB, measured {used.peak / 1e6:.1f} MB: "
        f"{abs(missing) / 1e6:.1f} MB {'too little' if missing > 0 else 'too much'} "
        f"({run.prediction_error:+.1%} of the process, {-missing / grown:+.1%} of what engine and "
        "network take)",
    )


def _stacked(parts: Mapping[str, int], scale: float) -> tuple[Bar, ...]:
    bars, x = [], float(LABELS)
    for name, size in parts.items():
        # Resident memory may shrink between two readings; a bar cannot.
        width = max(0, size) * scale
        kind = name.replace(" ", "-").lower()
        bars.append(Bar(x, 0, width, BAR_HEIGHT, f"{name}: {size / 1e6:.1f} MB", kind))
        x += width
    return tuple(bars)


def histogram(run: ProfileRun) -> Histogram:
    """All samples of a run, the slowest too, on a logarithmic axis."""
    samples = np.asarray(run.samples_ms)
    low, high = float(samples.min()), float(samples.max())
    high = max(high, low * 1.01)
    edges = np.geomspace(low, high, BINS + 1)
    # Its ends may miss the extremes by a rounding; no sample may be lost by that.
    counts, _ = np.histogram(np.clip(samples, edges[0], edges[-1]), bins=edges)
    step = WIDTH / BINS
    tallest = int(counts.max())

    def place(ms: float) -> float:
        return math.log(min(max(ms, low), high) / low) / math.log(high / low) * WIDTH

    bars = tuple(
        Bar(
            x=i * step,
            y=HISTOGRAM_HEIGHT * (1 - count / tallest),
            width=step - 1,
            height=HISTOGRAM_HEIGHT * count / tallest,
            title=f"{edges[i]:.3f} to {edges[i + 1]:.3f} ms: {count} runs",
        )
        for i, count in enumerate(counts.tolist())
        if count
    )
    latency = run.latency_ms
    below, above = (place(ms) for ms in run.latency_interval_ms.p90)
    return Histogram(
        name=name_of(run),
        bars=bars,
        ticks=tuple(
            Mark(WIDTH * part / 4, f"{low * (high / low) ** (part / 4):.2f} ms")
            for part in range(5)
        ),
        percentiles=tuple(
            Mark(place(ms), f"{name} {ms:.2f} ms")
            for name, ms in (("p50", latency.p50), ("p90", latency.p90), ("p99", latency.p99))
        ),
        interval=Bar(below, 0, above - below, HISTOGRAM_HEIGHT, "95% interval of p90", "interval"),
    )


def operators(run: ProfileRun) -> Timeline:
    """Milliseconds of each operator of a run that has them, in the order they ran."""
    layers = run.layers or ()
    most = max(layer.ms for layer in layers)
    ticks = _ticks(most)
    scale = HISTOGRAM_HEIGHT / max(most, ticks[-1])
    step = (WIDTH - MARGIN) / len(layers)
    slowest = max(range(len(layers)), key=lambda i: layers[i].ms)
    bars = tuple(
        Bar(
            x=MARGIN + i * step,
            y=HISTOGRAM_HEIGHT - layer.ms * scale,
            width=max(step - min(1.0, step / 5), 0.5),
            height=layer.ms * scale,
            title=f"{layer.layer or layer.name} ({layer.type}): {layer.ms:.3f} ms"
            + (f", {layer.gmacs_per_s:.1f} GMAC/s" if layer.macs else ""),
            kind="peak" if i == slowest else "alive",
        )
        for i, layer in enumerate(layers)
    )
    top = layers[slowest]
    return Timeline(
        bars=bars,
        ticks=tuple(Mark(HISTOGRAM_HEIGHT - t * scale, f"{t:g} ms") for t in ticks),
        peak=Mark(
            bars[slowest].x + bars[slowest].width / 2,
            f"{top.layer or top.name}: {top.ms:.3f} ms",
        ),
    )


def name_of(run: ProfileRun) -> str:
    """`litert, 2 threads`."""
    return f"{run.runtime}, {run.threads} thread{'s' * (run.threads > 1)}"


def ticks_between(low: float, high: float, count: int) -> list[float]:
    """Some `count` round values, the first at most `low` and the last at least `high`."""
    spread = max(high - low, abs(high) * 0.02, 1e-3)
    step = _ticks(spread, count)[1]
    first = math.floor(low / step)
    return [round(step * i, 9) for i in range(first, max(math.ceil(high / step), first + 1) + 1)]


def _ticks(most: float, count: int = 4) -> list[float]:
    """Round values from 0 to at least `most`, which is positive."""
    rough = most / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    return [step * i for i in range(math.ceil(most / step) + 1)]
