"""Where a network and its layers stand under the roofline of an engine on this machine."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgecnn.targets.profiling.profile import ProfileRun
from edgecnn.targets.profiling.report.charts import MARGIN, WIDTH, Mark, name_of
from edgecnn.targets.profiling.roofline import moved_bytes

HEIGHT = 320


@dataclass(frozen=True)
class Dot:
    """An operator, or the whole network."""

    x: float
    y: float
    title: str


@dataclass(frozen=True)
class RooflineChart:
    """Both axes are logarithmic."""

    name: str
    roof: str
    """The ceilings, as SVG's polyline takes them."""
    layers: tuple[Dot, ...]
    network: Dot
    across: tuple[Mark, ...]
    up: tuple[Mark, ...]
    summary: str


def roofline(run: ProfileRun, analysis: Mapping[str, Any]) -> RooflineChart | None:
    """The chart of a run that has a roofline, and of a RAM analysis (its JSON) with input bytes."""
    ceilings = run.roofline
    layers = {layer["name"]: layer for layer in analysis["layers"] if layer["macs"]}
    if ceilings is None or any(layer.get("input_bytes") is None for layer in layers.values()):
        return None
    bytes_of = {name: moved_bytes(layer, analysis["dtype"]) for name, layer in layers.items()}
    found = [
        (layer.layer, layer.macs / bytes_of[layer.layer], layer.gmacs_per_s)
        for layer in run.layers or ()
        if layer.layer in bytes_of and layer.gmacs_per_s
    ]
    macs = sum(layer["macs"] for layer in layers.values())
    whole = (
        macs / sum(bytes_of.values()),
        macs / run.latency_ms.p50 / 1e6,
    )
    ridge = ceilings.int8_gmacs_per_s / ceilings.memory_gbytes_per_s
    xs = [x for _, x, _ in found] + [whole[0], ridge]
    ys = [y for _, _, y in found] + [whole[1], ceilings.int8_gmacs_per_s]
    left, right = _decades(xs)
    bottom, top = _decades(ys)

    def across(x: float) -> float:
        return MARGIN + (WIDTH - MARGIN) * (math.log10(x) - left) / (right - left)

    def up(y: float) -> float:
        return HEIGHT * (1 - (math.log10(y) - bottom) / (top - bottom))

    start = max(10.0**left, 10.0**bottom / ceilings.memory_gbytes_per_s)
    corners = [(x, ceilings.attainable(x)) for x in (start, ridge, 10.0**right)]
    share = whole[1] / ceilings.attainable(whole[0])
    return RooflineChart(
        name=name_of(run),
        roof=" ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in corners),
        layers=tuple(
            Dot(across(x), up(y), f"{name}: {y:.1f} GMAC/s at {x:.1f} MACs a byte")
            for name, x, y in found
        ),
        network=Dot(across(whole[0]), up(whole[1]), f"whole network: {whole[1]:.1f} GMAC/s"),
        across=tuple(Mark(across(10.0**n), f"{10.0**n:g}") for n in range(left, right + 1)),
        up=tuple(Mark(up(10.0**n), f"{10.0**n:g}") for n in range(bottom, top + 1)),
        summary=f"ceilings {ceilings.int8_gmacs_per_s:.0f} GMAC/s in int8 and "
        f"{ceilings.memory_gbytes_per_s:.1f} GB/s; the network reaches {whole[1]:.1f} GMAC/s at "
        f"{whole[0]:.0f} MACs a byte, {share:.0%} of what is attainable there",
    )


def _decades(values: list[float]) -> tuple[int, int]:
    """The powers of ten around positive values, at least one apart."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)
