"""How fast an engine gets work done: a rate for each class of operators, fitted to measured times.

    ms = sum over classes of rate[class] * work[class]

The rates are positive, and they lie around those known before, of the same engine elsewhere, but
for one factor for all: a faster processor is faster at everything, and at some things more than
at others. With nothing measured the rates known before stay; with each network that is measured
they move to what it says. Errors are relative, and one network that fits badly pulls no more than
several that fit well (Huber's loss, smoothed).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgecnn.choosing.work import ROUGHLY, Floats
from edgecnn.errors import require

NOISE = 0.1
"""Relative error that a measured time has anyway, with what the classes leave out."""
KNOWN, UNKNOWN = 1.0, 1.0
"""By how much, as a logarithm, rates differ between processors or engines; and from `ROUGHLY`."""
COVERAGE = 0.9
"""Of the intervals."""
SMALLEST = 1e-9


@dataclass(frozen=True)
class Rates:
    """Milliseconds of a million of each class of work, `(classes,)`."""

    values: Floats

    def ms(self, work: Floats) -> Floats:
        """Of work `(..., classes)`, the milliseconds `(...)`."""
        return np.asarray(work @ self.values)


ROUGH = Rates(np.array(list(ROUGHLY.values())) * 1e-2)


def fitted(work: Floats, ms: Floats, before: Rates | None = None) -> Rates:
    """The rates that explain at least one network's time, `(n,)`, by its work, `(n, classes)`."""
    optimize = require("scipy.optimize", what="Choosing", package="SciPy", extra="train")
    spread = UNKNOWN if before is None else KNOWN
    known = np.log((before or ROUGH).values)
    logs = np.log(ms)
    factor = float(np.median(logs - np.log(work @ np.exp(known))))

    def residuals(values: Floats) -> Floats:
        *rates, scale = values
        modelled = np.log(work @ np.exp(rates))
        return np.concatenate([(modelled - logs) / NOISE, (rates - known - scale) / spread])

    def slopes(values: Floats) -> Floats:
        parts = work * np.exp(values[:-1])
        of_times = parts / parts.sum(axis=1, keepdims=True) / NOISE
        of_rates = np.eye(len(known)) / spread
        return np.block(
            [
                [of_times, np.zeros((len(ms), 1))],
                [of_rates, np.full((len(known), 1), -1 / spread)],
            ]
        )

    start = np.append(known + factor, factor)
    found = optimize.least_squares(residuals, start, slopes, loss="soft_l1")
    return Rates(np.maximum(np.exp(found.x[:-1]), SMALLEST))


def errors_left_out(
    work: Floats, ms: Floats, groups: Sequence[str], before: Rates | None = None
) -> Floats:
    """log(predicted / measured), `(n,)`, of each time by rates from those of other groups."""
    names = np.array(groups)
    found = np.zeros(len(ms))
    for name in set(groups):
        mine = names == name
        rates = fitted(work[~mine], ms[~mine], before)
        found[mine] = np.log(rates.ms(work[mine]) / ms[mine])
    return found


def half_width(errors: Floats, coverage: float = COVERAGE) -> float:
    """What |log(predicted / measured)| of one more network stays within, with that probability.

    The conformal quantile: it holds where that network is one like the others, whatever the
    errors' distribution (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005;
    Lei et al., Distribution-Free Predictive Inference for Regression, 2018). Infinite where the
    errors are too few to tell.
    """
    rank = math.ceil((len(errors) + 1) * coverage)
    if rank > len(errors):
        return math.inf
    return float(np.sort(np.abs(errors))[rank - 1])
