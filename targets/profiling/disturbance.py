"""Whether the machine had anything else to do."""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass

from edgecnn.targets.board.machine import Machine

BUSY_CORES = 0.15
MOMENT_CORES = 0.5
"""Within one second; the whole of a run is disturbed by less."""


@dataclass(frozen=True)
class CpuClock:
    """Processor time spent so far, in seconds."""

    wall: float
    own: float
    """By the process that is measured, all threads."""
    busy: float | None
    """By everybody, all cores; None where the kernel does not show it."""
    stolen: float | None
    """Taken by the hypervisor for other virtual machines."""

    @classmethod
    def now(cls, machine: Machine, own: float | None = None) -> "CpuClock":
        """Read the clocks; `own` is given where another process than this one is measured."""
        own = time.process_time() if own is None else own
        wall = time.perf_counter()
        line = (machine.read("/proc/stat") or "").partition("\n")[0].split()
        if len(line) < 9 or line[0] != "cpu":
            return cls(wall, own, None, None)
        tick = os.sysconf("SC_CLK_TCK")
        user, nice, system, _idle, _iowait, irq, softirq, steal = (int(n) / tick for n in line[1:9])
        return cls(wall, own, user + nice + system + irq + softirq, steal)


@dataclass(frozen=True)
class Disturbance:
    """Who else used the processor between two readings, in cores."""

    others: float | None
    stolen: float | None

    @classmethod
    def between(cls, start: CpuClock, end: CpuClock) -> "Disturbance":
        """From two readings of the same process."""
        wall = max(end.wall - start.wall, 1e-9)
        if None in (start.busy, end.busy, start.stolen, end.stolen):
            return cls(None, None)
        others = (end.busy - start.busy) - (end.own - start.own)  # type: ignore[operator]
        stolen = end.stolen - start.stolen  # type: ignore[operator]
        # The kernel counts in ticks of 10 ms, so the difference can come out below nothing.
        return cls(max(0.0, others / wall), stolen / wall)

    @classmethod
    def worst(cls, parts: Iterable["Disturbance"]) -> "Disturbance":
        """The most of each, of at least one."""
        others, stolen = zip(*((part.others, part.stolen) for part in parts), strict=True)
        return cls(
            *(
                max((x for x in column if x is not None), default=None)
                for column in (others, stolen)
            )
        )

    def reasons(self, allowed: float = BUSY_CORES) -> tuple[str, ...]:
        """Why a measurement made meanwhile is not valid; empty when it is."""
        reasons = []
        if self.others is not None and self.others > allowed:
            reasons.append(f"other programs used {self.others:.1f} cores")
        if self.stolen is not None and self.stolen > allowed:
            reasons.append(f"the hypervisor took {self.stolen:.1f} cores")
        return tuple(reasons)
