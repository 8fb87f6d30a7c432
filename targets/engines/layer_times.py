"""How long each operator takes, from the engine's own profiler, joined to the RAM analysis."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

RUNS = 20
"""Profiled inferences; the engine's bookkeeping slows them, so they count for nothing else."""


@dataclass(frozen=True)
class LayerTime:
    """One operator as the engine runs it: several layers may be fused into it."""

    name: str
    """As the engine calls it."""
    type: str
    ms: float
    """Median."""
    layer: str | None = None
    """The layer of the RAM analysis, where the name tells."""
    macs: int = 0

    @property
    def gmacs_per_s(self) -> float:
        """Multiply-accumulates a second, in thousands of millions."""
        return self.macs / self.ms / 1e6 if self.ms else 0.0

    def to_json(self) -> dict[str, Any]:
        """As it stands in a profile."""
        return asdict(self) | {"gmacs_per_s": self.gmacs_per_s}


def medians(events: Iterable[tuple[str, str, float]]) -> tuple[LayerTime, ...]:
    """The median of each operator's `(name, type, ms)` events, in the order of the first."""
    import statistics  # takes a while, and only profiles ask for it

    times: dict[tuple[str, str], list[float]] = {}
    for name, type, ms in events:
        times.setdefault((name, type), []).append(ms)
    return tuple(
        LayerTime(name, type, statistics.median(found)) for (name, type), found in times.items()
    )


def joined(
    times: Sequence[LayerTime], layers: Sequence[Mapping[str, Any]]
) -> tuple[LayerTime, ...]:
    """The times with the layers they belong to; each layer is given away once.

    Engines append to a layer's name: `conv1/WithoutBiases`, `conv1_token_3`.
    """
    macs = {layer["name"]: layer["macs"] for layer in layers}
    free = set(macs)
    found = []
    for time in times:
        name = _layer(time.name, free)
        free.discard(name or "")
        found.append(LayerTime(time.name, time.type, time.ms, name, macs.get(name or "", 0)))
    return tuple(found)


def _layer(operator: str, layers: set[str]) -> str | None:
    if operator in layers:
        return operator
    stem = re.sub(r"(/.*|_token_\d+|_nchwc|_quant)$", "", operator)
    return stem if stem in layers else None
