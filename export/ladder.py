"""The repair ladder: what to try, cheapest first, when an int8 network loses too much.

From the recipe asked for upwards: each rung changes one thing of the best recipe so far, and the
best of all is kept. The last rungs leave layers in float, those that help most first, twice as many
each time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from edgecnn.export.recipe import Quantiser, Recipe
from edgecnn.export.statistics import GraphRun

RANKING_PICTURES = 16


@dataclass(frozen=True)
class Rung:
    """A step that was tried, and what each artifact lost with it."""

    name: str
    recipe: Recipe
    points_lost: dict[str, float]
    """Top-1 lost in percentage points, by format."""
    error: float
    """Mean absolute error of the probabilities, over all formats."""

    @property
    def score(self) -> tuple[float, float]:
        """Smaller is better: the worst format decides, then the mean error."""
        return max(self.points_lost.values()), self.error


def climb(
    quantiser: Quantiser, attempt: Callable[[str, Recipe], Rung], asked: Recipe, bound: float
) -> list[Rung]:
    """Try recipes, from `asked` on, until no artifact loses more than `bound` points.

    `attempt(name, recipe)` writes and judges the artifacts. Returns every rung in order; the
    best is the one to keep, and whether it holds is for the caller to see.
    """
    tried = [attempt("as asked", asked)]
    for name, change in _changes(quantiser, tried):
        if best(tried).score[0] <= bound:
            break
        tried.append(attempt(name, change(best(tried).recipe)))
    return tried


def best(tried: list[Rung]) -> Rung:
    """The rung that lost least; of equals the first."""
    return min(tried, key=lambda rung: rung.score)


def _changes(
    quantiser: Quantiser, tried: list[Rung]
) -> Iterator[tuple[str, Callable[[Recipe], Recipe]]]:
    yield "cross-layer equalisation", lambda r: replace(r, equalise=True)
    ranked = rank_layers(quantiser, best(tried).recipe)
    count = 1
    while count < len(ranked):
        layers = tuple(ranked[:count])
        yield (
            f"{count} of {len(ranked)} layers in float",
            lambda r, layers=layers: replace(r, float_layers=layers),  # type: ignore[misc]
        )
        count *= 2


def rank_layers(quantiser: Quantiser, recipe: Recipe) -> list[str]:
    """Layers by how much the answers improve when that layer alone computes in float."""
    images = quantiser.sample(RANKING_PICTURES)
    # Re-cooking for every layer with all corrections would take minutes and rank the same.
    fast = replace(recipe, rounding="nearest", bias_correction="fast")
    expected = GraphRun(quantiser.graph, ()).answers(images)
    left: dict[str, float] = {}
    for layer in quantiser.quantise(fast).weights:
        quantised = quantiser.quantise(replace(fast, float_layers=(*recipe.float_layers, layer)))
        run = GraphRun(quantised.graph, (), quantised)
        left[layer] = float(np.abs(run.answers(images) - expected).mean())
    return sorted(left, key=left.__getitem__)
