"""A run along its time: latency beside heat and clock, and whether it held what it began with."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Self

from edgecnn.percentile import percentile
from edgecnn.spread import Estimate, Interval
from edgecnn.targets.board.telemetry import Telemetry
from edgecnn.targets.profiling.disturbance import MOMENT_CORES, Disturbance
from edgecnn.targets.profiling.observer import Reading

ENOUGH_S = 20.0
PART_S = 30.0
"""The first and the last of a long run; of a short one, a quarter each."""


@dataclass(frozen=True)
class Moment:
    """A second of a run in which inferences began."""

    time_s: float
    """Since the first inference of the run."""
    count: int
    p50_ms: float
    p90_ms: float
    telemetry: Telemetry
    """Read nearest to its middle."""
    disturbance: Disturbance

    def to_json(self) -> dict[str, Any]:
        """One of a profile's `samples`."""
        return {
            "time_s": self.time_s,
            "count": self.count,
            "p50_ms": self.p50_ms,
            "p90_ms": self.p90_ms,
            "other_cores": self.disturbance.others,
            "stolen_cores": self.disturbance.stolen,
            **self.telemetry.to_json(),
        }


def moments(
    seconds: Iterable[tuple[int, int]],
    samples_ms: Sequence[float],
    started_at: float,
    readings: Sequence[Reading],
) -> tuple[Moment, ...]:
    """Of one process: `(second, how many inferences began in it)`, and their latencies.

    `started_at` and the readings, at least one, are on the same clock.
    """
    left = iter(samples_ms)
    found = []
    for second, count in seconds:
        values = list(islice(left, count))
        p50, p90 = percentile(values, 50), percentile(values, 90)
        middle = started_at + second + 0.5
        read = min(readings, key=lambda reading: abs(reading.clock - middle))
        found.append(Moment(second, count, p50, p90, read.telemetry, read.disturbance))
    return tuple(found)


def joined(parts: Sequence[Sequence[Moment]], starts: Sequence[float]) -> tuple[Moment, ...]:
    """The moments of all processes of a run, on the time of the first."""
    return tuple(
        replace(moment, time_s=round(moment.time_s + start - starts[0], 3))
        for part, start in zip(parts, starts, strict=True)
        for moment in part
    )


def reasons(along: Sequence[Moment], processes: Iterable[Disturbance]) -> tuple[str, ...]:
    """Why a run is not valid; empty when it is.

    `processes` is how each of its processes was disturbed on the whole; where that is little, one
    bad second still counts.
    """
    throttled = (moment.telemetry.throttled for moment in along if moment.telemetry.throttled)
    found = tuple(f"throttled: {', '.join(why)}" for why in islice(throttled, 1))
    if disturbed := Disturbance.worst(processes).reasons():
        return found + disturbed
    worst = Disturbance.worst(moment.disturbance for moment in along).reasons(MOMENT_CORES)
    return found + tuple(f"{reason} for a second" for reason in worst)


@dataclass(frozen=True)
class Drift:
    """What a robot gets for hours, against what it got at first."""

    burst_p90_ms: float
    """Of the first part of a run."""
    sustained_p90_ms: float
    """Of the last part."""
    change: float
    """From the first to the last, a fraction; positive is slower."""
    change_interval: Interval
    """Where the change lies with 95% confidence."""
    part_s: float
    """How long each part is."""

    @classmethod
    def of(cls, along: Sequence[Moment], samples_ms: Sequence[float]) -> Self | None:
        """Of the run's moments and all its latencies; None for less than twenty seconds."""
        length = along[-1].time_s + 1
        if length < ENOUGH_S:
            return None
        part = min(PART_S, length / 4)
        first = sum(moment.count for moment in along if moment.time_s + 1 <= part)
        last = sum(moment.count for moment in along if moment.time_s >= length - part)
        burst = Estimate.of([samples_ms[:first]], 90)
        sustained = Estimate.of([samples_ms[-last:]], 90)
        ratio, (low, high) = sustained.over(burst)
        return cls(burst.value, sustained.value, ratio - 1, (low - 1, high - 1), part)
