"""Is int8 worth it here? Each runtime with int8, fp16 and float32 artifacts, on this machine.

Not everywhere: a processor without integer units, or an engine that converts back and forth, can
make int8 the slower one, and processors with half-precision arithmetic make fp16 its rival.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from edgecnn.bundle import Bundle
from edgecnn.targets.board.emulation import emulation
from edgecnn.targets.board.target import detect
from edgecnn.targets.engines import runtimes
from edgecnn.targets.engines.trial import try_once

PRECISIONS = ("float32", "fp16", "int8")
NOTICEABLE = 1.1
"""A ratio of latencies nearer to 1 is called a draw: the machine is not ours alone."""


@dataclass(frozen=True)
class Cost:
    """What an artifact takes in a process of its own."""

    p50_ms: float
    bytes: int
    """Its files."""
    peak_bytes: int
    """Resident memory of the process."""
    agreement_top1: float | None = None
    """Fraction of held-out pictures on which it says what Keras says."""
    top1_drop: float | None = None
    """Points of top-1 that it lost on them, where their labels are known."""


@dataclass(frozen=True)
class Duel:
    """One runtime with each precision."""

    runtime: str
    int8: Cost
    float32: Cost
    fp16: Cost | None = None
    """None where half precision cannot hold the network."""

    @property
    def speedup(self) -> float:
        """How many int8 inferences fit into a float32 one."""
        return self.float32.p50_ms / self.int8.p50_ms

    @property
    def costs(self) -> dict[str, Cost]:
        """By precision."""
        costs = {"float32": self.float32, "fp16": self.fp16, "int8": self.int8}
        return {name: cost for name, cost in costs.items() if cost is not None}


@dataclass(frozen=True)
class Verdict:
    """What was found on the machine of the export."""

    cpu: str
    threads: int
    duels: tuple[Duel, ...]
    disturbances: tuple[str, ...]
    """What else the machine did meanwhile."""

    @property
    def sentence(self) -> str:
        """One sentence: the best int8 against the best of the others."""
        int8 = min(self.duels, key=lambda duel: duel.int8.p50_ms)
        others = [
            (precision, duel.runtime, cost)
            for duel in self.duels
            for precision, cost in duel.costs.items()
            if precision != "int8"
        ]
        precision, runtime, other = min(others, key=lambda found: found[2].p50_ms)
        speedup = other.p50_ms / int8.int8.p50_ms
        best = (
            f"int8 in {int8.runtime} ({int8.int8.p50_ms:.2f} ms) against {precision} in "
            f"{runtime} ({other.p50_ms:.2f} ms)"
        )
        size = f"a file {other.bytes / int8.int8.bytes:.1f} times smaller"
        if speedup >= NOTICEABLE:
            return f"int8 is worth it here: {best}, {speedup:.1f} times as fast, {size}."
        if speedup > 1 / NOTICEABLE:
            return f"int8 is no faster here: {best}; what it saves is {size}."
        return (
            f"int8 is slower here: {best}, {1 / speedup:.1f} times as slow, for {size}. "
            "On a board like this one export with --fp32 or --fp16."
        )

    def to_json(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        return asdict(self) | {"verdict": self.sentence}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """What `to_json` gave."""
        duels = (
            Duel(**duel | {name: Cost(**duel[name]) for name in PRECISIONS if duel.get(name)})
            for duel in data["duels"]
        )
        return cls(data["cpu"], data["threads"], tuple(duels), tuple(data["disturbances"]))


def judge(bundles: dict[str, Path], on_runtime: Callable[[str], None] = lambda _: None) -> Verdict:
    """Measure bundles of one network, by precision, format by format, in fresh processes."""
    board = detect()
    found = {name: Bundle.load(path) for name, path in bundles.items()}
    before = board.telemetry()

    def cost(bundle: Bundle, runtime: str) -> Cost:
        figures = try_once(bundle, board, runtime, board.threads, self_check=False)
        artifact = bundle.artifacts[runtimes.get(runtime).format]
        verification = artifact.details["verification"]
        return Cost(
            figures["p50_ms"],
            artifact.bytes,
            figures["peak_bytes"],
            verification["agreement_top1"],
            verification.get("top1_drop"),
        )

    def duels() -> Iterator[Duel]:
        for name in runtimes.RUNTIMES:
            if runtimes.get(name).format in found["int8"].artifacts:
                on_runtime(name)
                yield Duel(name, **{key: cost(bundle, name) for key, bundle in found.items()})

    measured = tuple(duels())
    reasons = board.telemetry().held_back_since(before)
    if emulator := emulation(board.machine):
        reasons += (emulator,)
    return Verdict(board.cpu, board.threads, measured, reasons)
