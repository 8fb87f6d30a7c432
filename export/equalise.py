"""Cross-layer equalisation: channels of very different size before an int8 tensor meet halfway.

Dividing a channel by a factor in one layer and multiplying by it in the next changes nothing,
through a ReLU too (Nagel et al., 2019, section 4.1). One scale for the whole tensor then fits
all its channels.
"""

import numpy as np
from numpy.typing import NDArray

from edgecnn.export.statistics import GraphRun, channels_last
from edgecnn.graph import WEIGHTED, Array, Graph, Operator

LIMIT = 64.0
"""Bound on a channel's factor, either way: a channel that was never active says nothing."""


def equalised(graph: Graph, images: NDArray[np.uint8]) -> Graph:
    """The same network with equalised channels, over uint8 pictures (count, H, W, C)."""
    pairs = equalisable(graph)
    size = channel_sizes(graph, [first for first, _ in pairs], images)
    graph = graph.copy()
    by_name = graph.by_name
    for first, second in pairs:
        _balance(by_name[first], by_name[second], size[first])
    return graph


def equalisable(graph: Graph) -> list[tuple[str, str]]:
    """Layers of which the second is the only reader of the first, with at most a ReLU between."""
    consumers = graph.consumers()
    return [
        (op.name, consumers[op.name][0].name)
        for op in graph
        if op.op in WEIGHTED
        and op.fused in (None, "relu")
        and len(consumers[op.name]) == 1
        and consumers[op.name][0].op in WEIGHTED
        and consumers[op.name][0].attributes.get("groups", 1) == 1
    ]


def channel_sizes(graph: Graph, names: list[str], images: NDArray[np.uint8]) -> dict[str, Array]:
    """The largest magnitude of every channel of these tensors, (channels)."""
    run = GraphRun(graph, names)
    found: dict[str, Array] = {}
    for image in images:
        for name, value in run(image[None])[1].items():
            last = channels_last(value)
            size = np.abs(last).reshape(-1, last.shape[-1]).max(axis=0)
            found[name] = np.maximum(found.get(name, size), size)
    return found


def _balance(first: Operator, second: Operator, size: Array) -> None:
    kernel = second.weights["kernel"]
    if second.op == "depthwise":
        # Its weights have a scale for each channel anyway: the activation can be made even.
        factor = size / max(float(size.max()), 1e-12)
    else:
        reading = np.abs(kernel).max(axis=(0, 1, 3) if kernel.ndim == 4 else 1)
        factor = np.sqrt(size / np.maximum(reading, 1e-12))
        factor /= np.median(factor[factor > 0]) if (factor > 0).any() else 1
    factor = np.where(size > 0, np.clip(factor, 1 / LIMIT, LIMIT), 1.0)
    own = first.weights["kernel"]
    per_output = factor.reshape(own.shape[2:]) if first.op == "depthwise" else factor
    first.weights = {
        "kernel": (own / per_output).astype(np.float32),
        "bias": (first.weights["bias"] / factor).astype(np.float32),
    }
    second.weights = {
        **second.weights,
        "kernel": (kernel * factor[:, None]).astype(np.float32),
    }
