"""What an artifact's probabilities mean, as a drawing: what was claimed, and what came true."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgecnn.reliability import SHARES, statement

SIDE = 240
LARGEST = 9.0
"""Radius of the dot for all claims."""


@dataclass(frozen=True)
class Dot:
    """A bin of claims: to the right how sure they were, upwards how many came true."""

    x: float
    y: float
    radius: float
    title: str


@dataclass(frozen=True)
class ReliabilityDiagram:
    """A square of `SIDE`; what means what it says lies on its diagonal."""

    name: str
    raw: tuple[Dot, ...]
    calibrated: tuple[Dot, ...]
    summary: str


def diagrams(artifacts: Mapping[str, Any]) -> list[ReliabilityDiagram]:
    """One for each artifact, of a manifest, that labelled pictures judged."""
    return [_diagram(name, told) for name, told in _told(artifacts) if "raw" in told]


def statements(artifacts: Mapping[str, Any]) -> list[str]:
    """What is promised, with how many pictures it rests on: the same for all artifacts."""
    counts = {told["labelled"] for _, told in _told(artifacts)}
    return [said for n in counts for share in SHARES if (said := statement(share, n))]


def _told(artifacts: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, artifact in artifacts.items():
        if "reliability" in artifact:
            yield name, artifact["reliability"]


def _diagram(name: str, told: Mapping[str, Any]) -> ReliabilityDiagram:
    raw, calibrated = told["raw"], told["calibrated"]

    def error(found: Mapping[str, Any]) -> str:
        low, high = found["ece_interval"]
        return f"{found['ece']:.3f} [{low:.3f}, {high:.3f}]"

    return ReliabilityDiagram(
        name,
        _dots(raw["bins"]),
        _dots(calibrated["bins"]),
        f"{name}, {told['count']} held-out pictures: expected calibration error {error(raw)} as "
        f"the engine gives it, {error(calibrated)} at temperature {told['temperature']:.2f}, "
        "cross-validated",
    )


def _dots(bins: Sequence[Sequence[float]]) -> tuple[Dot, ...]:
    whole = sum(count for count, _, _ in bins)
    return tuple(
        Dot(
            x=SIDE * confidence,
            y=SIDE * (1 - right),
            radius=max(1.5, LARGEST * (count / whole) ** 0.5),
            title=f"{count} claims, {confidence:.1%} sure on average: {right:.1%} came true",
        )
        for count, confidence, right in bins
    )
