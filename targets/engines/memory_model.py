"""Predicting the memory of a process before it runs: what is known about a network, and an engine.

    peak = baseline + weights + arena + graph (+ frames, with a camera)

`baseline` is the engine with Python and all it imports, `graph` what it keeps for each operator;
both are properties of the engine on this machine and measured once, on two tiny networks (see
`edgecnn.targets.profiling.baseline`). `weights` and `arena` come from the bundle's RAM analysis;
how often an engine holds the weights is laid down in its file under `engines/runtimes/`. `frames`,
the live loop's own buffers, are counted in `edgecnn.targets.live.frame_memory`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgecnn.bundle import Bundle

NO_OPERATORS = ("input", "reshape")
FLOAT32 = {"int8": 1, "fp16": 2, "fp32": 1}
"""Engines hold float16 weights as float32 where they compute in that."""


@dataclass(frozen=True)
class NetworkMemory:
    """What an engine's memory depends on, of one artifact."""

    file_bytes: int
    """The artifact's files."""
    weights: tuple[int, ...]
    """Bytes of each operator's weights, in the precision the engine computes in."""
    arena_bytes: int
    """The planned arena of the activations."""
    operators: int
    precision: str
    """`int8`, `fp16` or `fp32`."""
    layers: tuple[dict[str, Any], ...]
    """The layers of the RAM analysis, as in the manifest."""

    @property
    def weights_bytes(self) -> int:
        """All weights together."""
        return sum(self.weights)

    @classmethod
    def of(cls, bundle: Bundle, format: str) -> "NetworkMemory | None":
        """From a bundle's manifest; None if it holds no RAM analysis."""
        analysis = bundle.manifest.get("ram_analysis")
        if not analysis:
            return None
        return cls.of_analysis(
            analysis | {"dtype": bundle.precision}, bundle.artifacts[format].bytes
        )

    @classmethod
    def of_analysis(
        cls, analysis: Mapping[str, Any], file_bytes: int | None = None
    ) -> "NetworkMemory":
        """From a RAM analysis as JSON; without files, they count as large as the weights."""
        precision = analysis["dtype"]
        layers = tuple(layer for layer in analysis["layers"] if layer["type"] not in NO_OPERATORS)
        parameters = sum(layer["parameters"] for layer in layers)
        # Scales and biases are wider than the kernel; they are spread as the parameters are.
        width = analysis["weights_bytes"] / max(1, parameters) * FLOAT32[precision]
        return cls(
            file_bytes=analysis["weights_bytes"] if file_bytes is None else file_bytes,
            weights=tuple(round(layer["parameters"] * width) for layer in layers),
            arena_bytes=analysis["arena_bytes"],
            operators=len(layers),
            precision=precision,
            layers=layers,
        )


@dataclass(frozen=True)
class EngineBaseline:
    """What an engine takes on this machine, measured."""

    peak_bytes: int
    """Peak of a process that runs the small probe."""
    operators: int
    """Operators of the small probe."""
    operator_bytes: int
    """What each further operator takes."""
    provenance: dict[str, str]
    """Engine, machine, versions and date of the measurement."""

    def __post_init__(self) -> None:
        figures = (self.peak_bytes, self.operators, self.operator_bytes)
        numbers = all(type(one) in (int, float) for one in figures)
        if not numbers or not isinstance(self.provenance, dict):
            raise TypeError(f"an engine's baseline has numbers, not {figures}")
