"""Ranges narrower than what was seen: a few outliers clipped for a finer step elsewhere.

| method | range |
|---|---|
| `minmax` | all that was seen |
| `percentile` | all but one value in ten thousand, at either end |
| `mse` | the least squared error |
| `entropy` | the least information lost (Migacz, 8-bit Inference with TensorRT, 2017) |
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgecnn.export.heads import tail
from edgecnn.export.methods import Method
from edgecnn.export.statistics import GraphRun, Range, features
from edgecnn.graph import Array, Graph
from edgecnn.operators import WEIGHTED

BINS = 2048
OUTLIERS = 1e-4
SHRINK = np.linspace(1.0, 0.3, 36)
"""Candidate ranges, as fractions of what was seen."""


def clip(
    graph: Graph,
    images: NDArray[np.uint8],
    seen: dict[str, Range],
    method: Method,
    on_picture: Callable[[], None] = lambda: None,
) -> dict[str, Range]:
    """The range of every tensor by a method, over uint8 pictures (count, H, W, C)."""
    if method == "minmax":
        return seen
    counts = histograms(graph, images, seen, on_picture)
    for name in _decisive(graph):
        counts.pop(name, None)
    choose = {"percentile": _percentile, "mse": _least(_squared_error), "entropy": _least(_lost)}
    return {
        name: choose[method](counts[name], bounds) if name in counts else bounds
        for name, bounds in seen.items()
    }


def _decisive(graph: Graph) -> list[str]:
    """The logits and what they are only pooled from, where nothing is clipped.

    There the few largest values are the answer: clipped, a picture loses all its confidence.
    """
    _, name = tail(graph)
    found = []
    while name is not None:
        found.append(name)
        op, name = graph[name], None
        if len(op.inputs) == 1 and op.op not in WEIGHTED:
            (name,) = op.inputs
    return found


def histograms(
    graph: Graph,
    images: NDArray[np.uint8],
    seen: dict[str, Range],
    on_picture: Callable[[], None] = lambda: None,
) -> dict[str, Array]:
    """How often each tensor's values fall in each of 2048 equal parts of its range."""
    names = [op.name for op in features(graph) if op.op != "input"]
    # Not so where a tensor has one value, or is infinite: as it does where it is only masked.
    names = [name for name in names if 0 < seen[name].high - seen[name].low < np.inf]
    run = GraphRun(graph, names)
    counts = {name: np.zeros(BINS, np.int64) for name in names}
    for _, tensors in run.over(images):
        for name, value in tensors.items():
            low, high = seen[name].low, seen[name].high
            places = ((value.ravel() - low) * (BINS / (high - low))).astype(np.int32)
            np.clip(places, 0, BINS - 1, out=places)
            counts[name] += np.bincount(places, minlength=BINS)
        on_picture()
    return counts


def _percentile(counts: Array, seen: Range) -> Range:
    share = np.cumsum(counts) / counts.sum()
    edges = np.linspace(seen.low, seen.high, BINS + 1)
    low = edges[np.searchsorted(share, OUTLIERS)]
    high = edges[1 + np.searchsorted(share, 1 - OUTLIERS)]
    return Range(float(low), float(high))


def _least(loss: Callable[[Array, Array, Range], float]) -> Callable[[Array, Range], Range]:
    """The candidate range of least loss; of equals the widest."""

    def choose(counts: Array, seen: Range) -> Range:
        edges = np.linspace(seen.low, seen.high, BINS + 1)
        centres = (edges[1:] + edges[:-1]) / 2
        candidates = [seen.widened(float(factor)) for factor in SHRINK]
        return min(candidates, key=lambda candidate: loss(counts, centres, candidate))

    return choose


def _squared_error(counts: Array, centres: Array, candidate: Range) -> float:
    low, high = min(candidate.low, 0.0), max(candidate.high, 0.0)
    step = (high - low) / 255
    clipped = np.maximum(centres - high, 0) + np.maximum(low - centres, 0)
    error = np.where(clipped > 0, clipped**2, step**2 / 12)
    return float((counts * error).sum())


def _lost(counts: Array, centres: Array, candidate: Range) -> float:
    """Divergence of the 256-level histogram from the real one with its outliers at the ends.

    The bin around zero is left out, as in the method's first publication: zero is exact at any
    scale, and after a ReLU it would outweigh everything else.
    """
    counts = np.where(np.abs(centres) <= (centres[1] - centres[0]) / 2, 0, counts)
    if counts.sum() == 0:
        return 0.0
    low, high = min(candidate.low, 0.0), max(candidate.high, 0.0)
    places = np.clip(np.searchsorted(centres, (low, high)), 1, BINS)
    first, last = int(places[0]) - 1, int(places[1])
    kept = counts[first:last].astype(np.float64)
    kept[0] += counts[:first].sum()
    kept[-1] += counts[last:].sum()
    level = np.minimum((np.arange(len(kept)) * 256) // len(kept), 255)
    present = counts[first:last] > 0
    totals = np.bincount(level, counts[first:last], 256)
    filled = np.maximum(np.bincount(level, present, 256), 1)
    coarse = np.where(present, (totals / filled)[level], 0)
    p, q = kept / kept.sum(), coarse / max(coarse.sum(), 1)
    return float((p[p > 0] * np.log(p[p > 0] / np.maximum(q[p > 0], 1e-9))).sum())
