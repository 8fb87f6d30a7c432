"""How long a network will take on a board, with an interval and where both come from.

The width of an interval is how far predictions were off where the truth was measured: from
networks left out on the board itself, where enough of them are known there; else from the same
experiment on the machine that `reference.json` was made on, where an engine stood for another
processor (`python -m benchmarks.choose`).
"""

import functools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from edgecnn.choosing.boards import Observed
from edgecnn.choosing.rates import Rates, errors_left_out, fitted, half_width
from edgecnn.choosing.work import Floats

FILE = "reference.json"
ALIKE = ("litert", "onnxruntime")
"""Engines for which others' figures stand in. OpenVINO computes int8 mostly in float on ARM."""
FEWEST = 9
"""Networks from which a 90% interval can be told."""


@dataclass(frozen=True)
class Reference:
    """What was learnt on one machine about engines: it stands in where a board's own is missing."""

    cpu: str
    rates: dict[str, Rates]
    """By engine, precision and threads: see `prior`."""
    half_widths: dict[int, float]
    """Of log latency, by the number of networks measured on the board; 0: others' figures only."""
    beside_published: float
    """The same after one network or more, where others' figures of that board are known too."""
    ram: float
    """What share of the measured peak predictions stay within, for 9 networks of 10."""

    @classmethod
    def load(cls) -> "Reference":
        """The one that comes with edgecnn."""
        return _reference()

    def prior(self, engine: str, precision: str, threads: int) -> Rates:
        """Rates of an engine, of LiteRT for one that was not measured there."""
        wide = "int8" if precision == "int8" else "fp32"
        for name in (engine, "litert"):
            if (found := self.rates.get(f"{name} {wide} {min(threads, 2)}")) is not None:
                return found
        raise KeyError(f"{FILE} has no rates for {wide}")

    def half_width(self, networks: int) -> float:
        """Of the largest number of networks that is no larger."""
        return self.half_widths[max(known for known in self.half_widths if known <= networks)]


@functools.cache
def _reference() -> Reference:
    data: dict[str, Any] = json.loads(
        (resources.files("edgecnn.choosing") / FILE).read_text("utf-8")
    )
    return Reference(
        data["cpu"],
        {name: Rates(np.array(values)) for name, values in data["rates"].items()},
        {int(count): width for count, width in data["half_widths"].items()},
        data["beside_published"],
        data["ram"],
    )


@dataclass(frozen=True)
class Model:
    """Predicts the latency of an engine with a precision and a number of threads on a board."""

    rates: Rates
    half_width: float
    """Of the logarithm, for 90% of networks."""
    basis: str
    """What it rests on, for people."""
    networks: int
    """Measured there; 0: it rests on others' figures."""

    def interval(self, work: Floats) -> tuple[float, float, float]:
        """Milliseconds, and between which they lie with a probability of 90%."""
        ms = float(self.rates.ms(work))
        stretch = math.exp(self.half_width)
        return ms, ms / stretch, ms * stretch


def model_of(
    observed: Sequence[Observed], engine: str, precision: str, threads: int, known: Reference
) -> Model | None:
    """The model, or None where nothing is known of so many threads at that precision."""
    alike = [one for one in observed if (one.precision, one.threads) == (precision, threads)]
    mine = [one for one in alike if one.engine == engine and one.origin != "published"]
    theirs = [one for one in alike if one.origin == "published" and engine in ALIKE]
    if not (rows := mine or theirs):
        return None
    before = known.prior(engine, precision, threads)
    if mine and theirs:  # of another engine, and of this very processor
        before = fitted(*_table(theirs), before)
    work, ms = _table(rows)
    names = [one.architecture for one in rows]
    networks = len(set(names)) if mine else 0
    width = known.half_width(networks)
    if mine and theirs:
        width = min(width, known.beside_published)
    if networks >= FEWEST:
        width = half_width(errors_left_out(work, ms, names, before))
    if mine:
        basis = f"{rows[0].origin}: {networks} network{'s' * (networks > 1)}"
    else:
        makers = " and ".join(sorted({one.engine for one in rows}))
        basis = f"published: {len(rows)} figures of {makers}"
    return Model(fitted(work, ms, before), width, basis, networks)


def _table(rows: Sequence[Observed]) -> tuple[Floats, Floats]:
    """Work `(n, classes)` and milliseconds `(n,)`."""
    return np.stack([one.work for one in rows]), np.array([one.ms for one in rows])
