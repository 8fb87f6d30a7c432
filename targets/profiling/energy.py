"""What an inference takes of a battery: power while the engine runs, less that of the idle board.

What the board shows is not always all of it: a Raspberry Pi's rails leave out what hangs on its
USB ports, an x86 processor's counters the rest of the machine. See `Target.power_w`.
"""

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from edgecnn.spread import Estimate, Interval
from edgecnn.targets.board.target import Target
from edgecnn.targets.profiling.timeline import Moment

IDLE_READINGS, IDLE_PERIOD_S = 10, 0.5
FEWEST_S = 10
"""Whole seconds of a run, over its processes: of fewer, a mean power says little."""


def idle_w(board: Target) -> tuple[float, ...]:
    """Five seconds of the board's power while this process sleeps; empty where it shows none."""
    readings = []
    for _ in range(IDLE_READINGS):
        power = board.telemetry().power_w
        if power is None:
            return ()
        readings.append(power)
        time.sleep(IDLE_PERIOD_S)
    return tuple(readings)


@dataclass(frozen=True)
class Energy:
    """Of one engine with one number of threads."""

    mj: float
    """Millijoules that an inference takes beyond what the idle board would have."""
    mj_interval: Interval
    """Where that lies with 95% confidence."""
    running_w: float
    idle_w: float

    @classmethod
    def of(cls, processes: Sequence[Sequence[Moment]], idle: Sequence[float]) -> Self | None:
        """Of the seconds of each process, and the idle board's power in watts.

        None where the board shows no power, the run is too short, or it took no more than idle.
        """
        # The first second and the last are not full of inferences.
        whole = [part[1:-1] for part in processes if len(part) > 2]
        powers = [
            power
            for part in whole
            for moment in part
            if (power := moment.telemetry.power_w) is not None
        ]
        if not idle or len(powers) < max(FEWEST_S, sum(map(len, whole))):
            return None
        base = statistics.fmean(idle)
        taken = [
            [1e3 * ((moment.telemetry.power_w or 0) - base) / moment.count for moment in part]
            for part in whole
        ]
        if min(map(min, taken)) <= 0:
            return None
        running = statistics.fmean(powers)
        of_idle = statistics.stdev(idle) / math.sqrt(len(idle)) / (running - base)
        estimate = Estimate.of(taken, 50)
        estimate = replace(estimate, error=math.hypot(estimate.error, of_idle))
        return cls(estimate.value, estimate.interval, running, base)

    def over(self, other: "Energy") -> tuple[float, Interval]:
        """This energy as a multiple of another, and the 95% interval of that."""
        ratio = self.mj / other.mj
        apart = math.hypot(*(math.log(e.mj_interval[1] / e.mj) for e in (self, other)))
        return ratio, (ratio / math.exp(apart), ratio * math.exp(apart))
