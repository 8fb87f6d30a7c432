"""Cross-layer equalisation: channels of very different size in an int8 tensor meet halfway.

Dividing a channel by a factor where it is made and multiplying by it where it is read changes
nothing, through a ReLU too (Nagel et al., Data-Free Quantization Through Weight Equalization and
Bias Correction, 2019, section 4.1). One scale for the whole tensor then fits all its channels.

Additions and pools work on each channel alone, so tensors that they join, such as the whole
stream of a residual stage, take the same factors.
"""

import numpy as np
from numpy.typing import NDArray

from edgecnn.export.statistics import GraphRun, channels_last
from edgecnn.graph import Array, Graph, Operator
from edgecnn.operators import WEIGHTED, kind_of

LIMIT = 64.0
"""Bound on a channel's factor, either way: a channel that was never active says nothing."""

SCALES_WITH_ITS_INPUT = (None, "relu")


def equalised(graph: Graph, images: NDArray[np.uint8]) -> Graph:
    """The same network with equalised channels, over uint8 pictures (count, H, W, C)."""
    groups = equalisable(graph)
    size = channel_sizes(graph, [name for group in groups for name in group], images)
    graph = graph.copy()
    by_name, consumers = graph.by_name, graph.consumers()
    for group in groups:
        makers = [by_name[name] for name in group if by_name[name].op in WEIGHTED]
        readers = {op.name: op for name in group for op in consumers[name] if op.op in WEIGHTED}
        largest = np.max([size[name] for name in group], axis=0)
        _balance(makers, list(readers.values()), largest)
    return graph


def equalisable(graph: Graph) -> list[list[str]]:
    """Groups of tensors that share channels, made and read by layers that can take a factor."""
    consumers = graph.consumers()
    group: dict[str, list[str]] = {op.name: [op.name] for op in graph}
    for op in graph:
        if _works_on_channels(graph, op):
            for name in op.inputs:
                if group[name] is not group[op.name]:
                    group[op.name].extend(group[name])
                    for member in group[name]:
                        group[member] = group[op.name]
    by_name = graph.by_name

    def takes_a_factor(name: str) -> bool:
        op = by_name[name]
        layer = op.op in WEIGHTED or _works_on_channels(graph, op)
        made = layer and op.fused in SCALES_WITH_ITS_INPUT
        read = consumers[name] and all(
            _works_on_channels(graph, reader)
            or (reader.op in WEIGHTED and reader.attributes.get("groups", 1) == 1)
            for reader in consumers[name]
        )
        return bool(made and read)

    distinct = {id(members): members for members in group.values()}.values()
    return [members for members in distinct if all(map(takes_a_factor, members))]


def _works_on_channels(graph: Graph, op: Operator) -> bool:
    """Whether each channel of the result depends on that channel of the inputs alone."""
    channels = {graph[name].shape[-1] for name in op.inputs}
    return kind_of(op).channel_wise and channels == {op.shape[-1]}


def channel_sizes(graph: Graph, names: list[str], images: NDArray[np.uint8]) -> dict[str, Array]:
    """The largest magnitude of every channel of these tensors, (channels)."""
    run = GraphRun(graph, names)
    found: dict[str, Array] = {}
    for _, tensors in run.over(images):
        for name, value in tensors.items():
            last = channels_last(value)
            size = np.abs(last).reshape(-1, last.shape[-1]).max(axis=0)
            found[name] = np.maximum(found.get(name, size), size)
    return found


def _balance(makers: list[Operator], readers: list[Operator], size: Array) -> None:
    """Divide by a factor in the makers and multiply in the readers, in place."""
    if all(reader.op == "depthwise" for reader in readers):
        # Its weights have a scale for each channel anyway: the activation can be made even.
        factor = size / max(float(size.max()), 1e-12)
    else:
        reading = np.max([_reach(reader) for reader in readers], axis=0)
        factor = np.sqrt(size / np.maximum(reading, 1e-12))
        factor = factor / max(float(factor.max()), 1e-12)
    factor = np.where(size > 0, np.clip(factor, 1 / LIMIT, LIMIT), 1.0)
    for op in makers:
        kernel = op.weights["kernel"]
        per_output = factor.reshape(kernel.shape[2:]) if op.op == "depthwise" else factor
        op.weights = {
            "kernel": (kernel / per_output).astype(np.float32),
            "bias": (op.weights["bias"] / factor).astype(np.float32),
        }
    for op in readers:
        kernel = op.weights["kernel"] * factor[:, None]
        op.weights = {**op.weights, "kernel": kernel.astype(np.float32)}


def _reach(reader: Operator) -> Array:
    """The largest weight with which a layer reads each channel, (channels)."""
    kernel = np.abs(reader.weights["kernel"])
    return np.asarray(kernel.max(axis=(0, 1, 3) if kernel.ndim == 4 else 1))
