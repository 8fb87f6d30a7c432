"""How sure a latency percentile is, from latencies measured in one or more processes.

Two things make a repeated measurement come out differently. Within a process, neighbouring
inferences resemble each other, so whole blocks are drawn again and not single samples: the
moving-block bootstrap of Künsch, The Jackknife and the Bootstrap for General Stationary
Observations, 1989. Between processes, where the memory came to lie and what the clock did shift
all samples together: that shows only in several processes. The larger of both standard errors
counts, of the logarithm, since noise stretches times. The same samples always give the same
answer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edgecnn.percentile import percentile

DRAWS = 400
FEWEST_DRAWS = 50
WORK = 20_000_000
"""Samples drawn in all: an error from fewer draws is sure enough where samples are many."""
SEED = 0
NORMAL_975 = 1.959964
STUDENT_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179)
"""Quantiles of Student's distribution with 1, 2, ... degrees of freedom, for 95% intervals."""

Interval = tuple[float, float]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A percentile in the unit of its samples, and how sure it is."""

    value: float
    error: float
    """Standard error of its logarithm."""
    degrees: int | None
    """Of freedom of that error; None where it comes from one process only."""

    @classmethod
    def of(cls, processes: Sequence[Sequence[float]], percent: float) -> Self:
        """The nearest-rank percentile (0 to 100) of positive latencies, in at least one process."""
        parts = [np.asarray(part, float) for part in processes]
        value = percentile(np.concatenate(parts), percent)
        within = float(np.std(np.log(_redrawn(parts, percent))))
        if len(parts) == 1:
            return cls(value, within, None)
        each = np.log([percentile(part, percent) for part in parts])
        between = float(np.std(each, ddof=1)) / math.sqrt(len(parts))
        return cls(value, max(within, between), len(parts) - 1)

    @property
    def interval(self) -> Interval:
        """Where the percentile lies with 95% confidence."""
        stretch = math.exp(_quantile(self.degrees) * self.error)
        return self.value / stretch, self.value * stretch

    def over(self, other: "Estimate") -> tuple[float, Interval]:
        """This percentile as a multiple of another, and the 95% interval of that."""
        ratio = self.value / other.value
        known = [degrees for degrees in (self.degrees, other.degrees) if degrees is not None]
        error = math.hypot(self.error, other.error)
        stretch = math.exp(_quantile(sum(known) or None) * error)
        return ratio, (ratio / stretch, ratio * stretch)


def _quantile(degrees: int | None) -> float:
    if degrees is None or degrees > len(STUDENT_975):
        return NORMAL_975
    return STUDENT_975[degrees - 1]


def _redrawn(parts: Sequence[Values], percent: float) -> Values:
    """The percentile of up to `DRAWS` samples, each drawn in blocks from every process."""
    rng = np.random.default_rng(SEED)
    draws = max(FEWEST_DRAWS, min(DRAWS, WORK // sum(map(len, parts))))
    return np.array(
        [
            percentile(np.concatenate([_blocks(part, rng) for part in parts]), percent)
            for _ in range(draws)
        ]
    )


def _blocks(values: Values, rng: np.random.Generator) -> Values:
    length = round(math.sqrt(len(values)))
    starts = rng.integers(0, len(values) - length + 1, -(-len(values) // length))
    chosen: Values = values[(starts[:, None] + np.arange(length)).ravel()]
    return chosen[: len(values)]
