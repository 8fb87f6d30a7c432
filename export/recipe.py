"""A recipe: the choices by which a folded graph becomes integers."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from edgecnn.evenly import evenly, stride
from edgecnn.export.bias_correction import correct_biases
from edgecnn.export.clipping import clip
from edgecnn.export.equalise import equalised
from edgecnn.export.folding import with_whole_zero_point
from edgecnn.export.in_sequence import correct_in_sequence
from edgecnn.export.methods import Method
from edgecnn.export.quantise import quantise
from edgecnn.export.quantised import Quantised
from edgecnn.export.rounding import covariances, round_adaptively
from edgecnn.export.statistics import GraphRun, Range, Statistics, observe
from edgecnn.file_array import Images
from edgecnn.graph import Array, Graph

SAMPLE = 32
"""Pictures for the costly steps, which look at means and extremes that few pictures settle."""
MOST = 128
"""Pictures for what small networks afford: differences from one to the next average out."""
OPERATIONS = 64e9
"""Multiplications of one run over those pictures; larger networks look at fewer."""
CLEARLY = 0.8
"""Of the error with what is usual: what another way must not exceed to be taken."""


@dataclass(frozen=True)
class Recipe:
    """How a network is quantised; weights are symmetric int8 per output channel in any case."""

    method: Method = "auto"
    """`auto` is settled by what `mse` and `percentile` do to the answers: `Quantiser.settled`."""
    weight_bits: Literal[7, 8] = 8
    """7 for x86 processors without VNNI, whose engines add two 8-bit products in 16 bits."""
    symmetric: bool = False
    """Zero points of 0 in int8, as NVIDIA TensorRT wants them; half of a ReLU's steps are lost."""
    rounding: Literal["nearest", "adaptive"] = "adaptive"
    bias_correction: Literal["none", "fast", "full"] = "full"
    """`full` is in sequence, unless the answers are clearly the worse for it."""
    equalise: bool = False
    float_layers: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        return {**vars(self), "float_layers": list(self.float_layers)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(**data | {"float_layers": tuple(data["float_layers"])})


class Quantiser:
    """A network and its calibration pictures; keeps what several recipes need."""

    def __init__(
        self,
        graph: Graph,
        images: Images,
        on_picture: Callable[[], None] = lambda: None,
        *,
        representative: bool = True,
    ) -> None:
        self.graph = with_whole_zero_point(graph)
        self.images, self._on_picture = images, on_picture
        self._representative = representative
        self._prepared: dict[bool, tuple[Graph, Statistics]] = {}
        self._ranges: dict[tuple[bool, Method], dict[str, Range]] = {}
        self._covariances: dict[bool, dict[str, Array]] = {}
        self._settled: dict[Recipe, Recipe] = {}

    def observe(self) -> None:
        """Look at all calibration pictures now rather than when the first recipe needs them."""
        self._with(equalise=False)

    def sample(self, count: int = SAMPLE) -> NDArray[np.uint8]:
        """At most so many of the pictures, spread over all."""
        return evenly(self.images, count)

    def settled(self, recipe: Recipe) -> Recipe:
        """The recipe with a method in place of `auto`.

        The least squared error is right where values are alike from picture to picture. Where a
        few pictures have far larger ones than all others, it makes room for them, and the others
        are left with few steps: EfficientNet-B0 after a short training loses ten times as much by
        it as without one value in ten thousand. No figure of the ranges tells; the answers do.
        """
        if recipe.method != "auto":
            return recipe
        if recipe not in self._settled:
            cheap: dict[str, Any] = {"rounding": "nearest", "bias_correction": "fast"}

            def error(method: Method, how: dict[str, Any]) -> float:
                return self._error(self.quantise(replace(recipe, method=method, **how)))

            # Corrections may make good what ranges lose: with them only where it matters.
            better = all(
                error("percentile", how) < CLEARLY * error("mse", how) for how in (cheap, {})
            )
            self._settled[recipe] = replace(recipe, method="percentile" if better else "mse")
        return self._settled[recipe]

    def quantise(self, recipe: Recipe) -> Quantised:
        """Quantise the network by a recipe."""
        recipe = self.settled(recipe)
        graph, seen = self.seen(recipe)
        sample = self.sample()
        quantised = self.at_ranges(recipe, self.ranges(recipe))
        if recipe.rounding == "adaptive":
            if recipe.equalise not in self._covariances:
                self._covariances[recipe.equalise] = covariances(graph, sample)
            quantised = round_adaptively(
                graph, quantised, self._covariances[recipe.equalise], recipe.weight_bits
            )
        if recipe.bias_correction == "none":
            return quantised
        quantised = correct_biases(graph, quantised, seen.means)
        if recipe.bias_correction == "fast":
            return quantised
        bits = recipe.weight_bits if recipe.rounding == "adaptive" else None
        corrected = correct_in_sequence(graph, quantised, self._others, bits)
        # Means over pictures go astray where a few have far larger values than all others.
        astray = self._error(quantised) < CLEARLY * self._error(corrected)
        return quantised if astray else corrected

    def seen(self, recipe: Recipe) -> tuple[Graph, Statistics]:
        """The graph that a recipe quantises, and what the pictures say of it."""
        return self._with(recipe.equalise)

    def ranges(self, recipe: Recipe) -> dict[str, Range]:
        """The ranges that a recipe chooses."""
        recipe = self.settled(recipe)
        graph, seen = self.seen(recipe)
        key = recipe.equalise, recipe.method
        if key not in self._ranges:
            self._ranges[key] = clip(graph, self.sample(), seen.ranges, recipe.method)
        return self._ranges[key]

    def at_ranges(self, recipe: Recipe, ranges: dict[str, Range]) -> Quantised:
        """The network at these ranges, its weights rounded to the nearest; nothing corrected."""
        graph, _ = self.seen(recipe)
        return quantise(
            graph,
            ranges,
            frozenset(recipe.float_layers),
            representative=self._representative,
            weight_bits=recipe.weight_bits,
            symmetric=recipe.symmetric,
        )

    def _error(self, quantised: Quantised) -> float:
        """Mean absolute error of the answers on the judges."""
        found = GraphRun(quantised.graph, (), quantised).answers(self._judges)
        return float(np.abs(found - self._expected).mean())

    @property
    def _judges(self) -> NDArray[np.uint8]:
        """As many pictures as the sample, and others where there are enough."""
        step = stride(len(self.images), SAMPLE)
        return self.images[step // 2 :: step]

    @property
    def _others(self) -> NDArray[np.uint8]:
        """As many as the network's size allows of the pictures that do not judge."""
        step = stride(len(self.images), SAMPLE)
        rest = np.delete(np.arange(len(self.images)), np.s_[step // 2 :: step])
        if not len(rest):
            return self.sample()
        macs = max(1, sum(map(self.graph.macs, self.graph)))
        return self.images[evenly(rest, int(np.clip(OPERATIONS / macs, SAMPLE, MOST)))]

    @cached_property
    def _expected(self) -> Array:
        """What the float network says of the judges."""
        return GraphRun(self.graph, ()).answers(self._judges)

    def _with(self, equalise: bool) -> tuple[Graph, Statistics]:
        if equalise not in self._prepared:
            graph = self.graph
            if equalise:
                graph = equalised(graph, self.sample())
            self._prepared[equalise] = graph, observe(graph, self.images, self._on_picture)
        return self._prepared[equalise]
