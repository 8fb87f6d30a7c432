"""Is int8 worth it here? Each runtime with the int8 artifact and with a float one, on this machine.

Not everywhere: a processor without integer units, or an engine that converts back and forth, can
make int8 the slower one.
"""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from edgecnn.bundle import Bundle
from edgecnn.targets.board.target import detect
from edgecnn.targets.engines import runtimes
from edgecnn.targets.profiling.measuring import measure

RUNS, SECONDS = 10, 0.3
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


@dataclass(frozen=True)
class Duel:
    """One runtime with both."""

    runtime: str
    int8: Cost
    float32: Cost

    @property
    def speedup(self) -> float:
        """How many int8 inferences fit into a float one."""
        return self.float32.p50_ms / self.int8.p50_ms


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
        """One sentence: the best int8 against the best float."""
        int8 = min(self.duels, key=lambda duel: duel.int8.p50_ms)
        other = min(self.duels, key=lambda duel: duel.float32.p50_ms)
        speedup = other.float32.p50_ms / int8.int8.p50_ms
        smaller = other.float32.bytes / int8.int8.bytes
        best = (
            f"int8 in {int8.runtime} ({int8.int8.p50_ms:.2f} ms) against float in "
            f"{other.runtime} ({other.float32.p50_ms:.2f} ms)"
        )
        size = f"a file {smaller:.1f} times smaller"
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
            Duel(duel["runtime"], Cost(**duel["int8"]), Cost(**duel["float32"]))
            for duel in data["duels"]
        )
        return cls(data["cpu"], data["threads"], tuple(duels), tuple(data["disturbances"]))


def judge(int8: Path, float32: Path, on_runtime: Callable[[str], None] = lambda _: None) -> Verdict:
    """Measure two bundles of the same network, format by format, in fresh processes."""
    board = detect()
    quantised, real = Bundle.load(int8), Bundle.load(float32)
    reasons: list[str] = []

    def cost(bundle: Bundle, runtime: str) -> Cost:
        found = measure(
            bundle.path, runtime, board.threads, runs=RUNS, seconds=SECONDS, target=board.name
        )
        reasons.extend(found["invalid_reasons"])
        return Cost(
            statistics.median(found["samples_ms"]),
            bundle.artifacts[runtimes.get(runtime).format].bytes,
            found["memory"]["final"]["peak"],
        )

    def duels() -> Iterator[Duel]:
        for name in runtimes.RUNTIMES:
            if runtimes.get(name).format in quantised.artifacts:
                on_runtime(name)
                yield Duel(name, cost(quantised, name), cost(real, name))

    found = tuple(duels())
    return Verdict(board.cpu, board.threads, found, tuple(dict.fromkeys(reasons)))
