"""Whether the calibration pictures sufficed: the network once more at the ranges of half of them.

Where half would have done as well, more would hardly help. The ranges are all that more pictures
improve: what costs more, rounding and corrections, looks at few in any case (see `recipe.SAMPLE`).
So both are judged with the weights that ship and without the corrections that follow the ranges.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.binomial import Z95
from edgecnn.evenly import evenly
from edgecnn.export.accuracy import divergence
from edgecnn.export.bias_correction import correct_biases
from edgecnn.export.clipping import clip
from edgecnn.export.heads import tail
from edgecnn.export.held_out import HeldOut
from edgecnn.export.quantise import FIXED
from edgecnn.export.quantised import Quantised
from edgecnn.export.recipe import SAMPLE, Quantiser, Recipe
from edgecnn.export.statistics import GraphRun, Range, Statistics
from edgecnn.graph import Array
from edgecnn.head import Head
from edgecnn.operators import kind_of
from edgecnn.pictures import Picture

FEWEST, FEWEST_JUDGES = 4, 2
"""Calibration and held-out pictures that say anything."""
JUDGES = 32
"""Held-out pictures that judge, at most."""
NOTICEABLE = 1.1
"""Times what half of the pictures lose more, from which on more of them are worth finding."""
FEW = 50
"""One picture in so many, and at least one, is a few."""
NAMED = 3
"""Layers that people are told of; all stand in the manifest."""
WIDER = 1.25
"""Times a range is wider by a few pictures, from which on they are said to decide it."""


@dataclass(frozen=True)
class Decided:
    """A layer whose range a few pictures decide."""

    layer: str
    wider: float
    """How many times wider the range is than without them."""
    pictures: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """One sentence."""
        them = "them" if len(self.pictures) > 1 else "it"
        return (
            f"{', '.join(self.pictures)} {'make' if len(self.pictures) > 1 else 'makes'} the range "
            f"of {self.layer} {self.wider:.1f} times as wide as it were without {them}."
        )


@dataclass(frozen=True)
class Sufficiency:
    """What came of it."""

    pictures: int
    judged_on: int
    kl_of_half: float
    """What the ranges of every second picture lose against float, in nats."""
    kl: float
    """What those of all lose."""
    gain_interval: tuple[float, float]
    """Of the difference, 95%: pictures by pairs."""
    wider_by_a_tenth: int
    """Ranges that grew by that much or more from half of the pictures to all."""
    ranges: int
    decided: tuple[Decided, ...]

    @property
    def sufficed(self) -> bool:
        """Whether what the second half of the pictures gained is chance, or next to nothing."""
        return self.gain_interval[0] <= 0 or self.kl_of_half < NOTICEABLE * self.kl

    @property
    def sentence(self) -> str:
        """One sentence."""
        seen = (
            f"the ranges of half of the {self.pictures} pictures lose {self.kl_of_half:.4f} nats, "
            f"those of all {self.kl:.4f} (on {self.judged_on} held-out ones)"
        )
        if self.sufficed:
            return f"Calibration pictures sufficed: {seen}."
        return f"More calibration pictures would help: {seen}."

    @property
    def lines(self) -> list[str]:
        """What people are told of it."""
        told = [one.sentence for one in self.decided[:NAMED]]
        if len(self.decided) > NAMED:
            told.append(f"So few pictures decide {len(self.decided) - NAMED} ranges more.")
        return [self.sentence, *told]

    def to_json(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        return asdict(self) | {"sufficed": self.sufficed, "said": self.lines}


def judge(
    quantiser: Quantiser,
    recipe: Recipe,
    shipped: Quantised,
    pictures: Sequence[Picture],
    held_out: HeldOut,
    head: Head,
) -> Sufficiency | None:
    """Quantise by what half of the calibration pictures show, and compare.

    `shipped` is what `quantiser` made by `recipe` of `pictures`. None where there are too few.
    """
    if len(pictures) < FEWEST or len(held_out.images) < FEWEST_JUDGES:
        return None
    graph, seen = quantiser.seen(recipe)
    every_second = slice(None, None, 2)
    places = np.arange(len(quantiser.images))[every_second]
    some = quantiser.images[evenly(places, SAMPLE // 2)]
    narrower = seen.ranges_of(every_second)
    of_half = clip(graph, some, narrower, recipe.method)
    of_all = quantiser.ranges(recipe)
    images, expected = evenly(held_out.images, JUDGES), evenly(held_out.expected, JUDGES)

    def lost(ranges: dict[str, Range]) -> NDArray[np.float64]:
        found = quantiser.at_ranges(recipe, ranges)
        found = Quantised(
            found.graph, found.scales, shipped.weights, found.float_operators, found.symmetric
        )
        found = correct_biases(graph, found, seen.means)
        return divergence(expected, GraphRun(found.graph, (), found).answers(images), head=head)

    half, every = lost(of_half), lost(of_all)
    gain = half - every
    error = Z95 * float(gain.std(ddof=1)) / len(gain) ** 0.5
    whole = seen.ranges
    names = [name for name in whole if whole[name].width > 0]
    return Sufficiency(
        len(quantiser.images),
        len(images),
        float(half.mean()),
        float(every.mean()),
        (float(gain.mean()) - error, float(gain.mean()) + error),
        sum(whole[name].width >= 1.1 * narrower[name].width for name in names),
        len(names),
        tuple(_decided(shipped, seen, of_all, pictures)),
    )


def _decided(
    quantised: Quantised,
    seen: Statistics,
    used: dict[str, Range],
    pictures: Sequence[Picture],
) -> list[Decided]:
    """Layers with a range of their own that reaches beyond what nearly all pictures need."""
    _, logits = tail(quantised.graph)
    found = []
    for op in quantised.graph:
        # The logits' range is wider than needed on purpose: see `quantise.LOGIT_HEADROOM`.
        prescribed = op.op == "input" or op.name == logits or op.attributes.get("kind") in FIXED
        own = op.name in quantised.scales and kind_of(op).scale == "own" and not prescribed
        if own and op.name in seen.extremes:
            wider, places = without_few(seen.extremes[op.name], used[op.name])
            if wider >= WIDER:
                names = tuple(pictures[place].name for place in places)
                found.append(Decided(op.name, round(wider, 2), names))
    return sorted(found, key=lambda one: -one.wider)


def without_few(extremes: Array, used: Range) -> tuple[float, list[int]]:
    """How many times wider a range is than nearly all pictures need, and the places of the others.

    `extremes` are of each picture (count, 2), as in `Statistics`.
    """
    few = max(1, len(extremes) // FEW)
    if len(extremes) <= few:
        return 1.0, []
    reach = np.maximum(np.stack([-extremes[:, 0], extremes[:, 1]]), 0)  # below zero, and above
    bounds = np.maximum((-used.low, used.high), 0)
    order = np.argsort(-reach, axis=1, kind="stable")
    rest = np.array([end[places[few]] for end, places in zip(reach, order, strict=True)])
    kept = np.minimum(rest, bounds)
    beyond = kept < bounds
    places = {
        int(p) for end in np.flatnonzero(beyond) for p in np.flatnonzero(reach[end] > kept[end])
    }
    wider = float(bounds.sum() / kept.sum()) if kept.sum() > 0 else 1.0
    return wider, sorted(places)
