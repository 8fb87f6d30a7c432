"""Bias correction: what rounding the weights adds to a layer's mean output is taken off its bias.

A convolution is linear, so the mean of its error over all pictures and positions is its weights'
rounding error applied to the mean picture it reads (Nagel et al., Data-Free Quantization Through
Weight Equalization and Bias Correction, 2019, section 4.2, with measured means).
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgecnn.export.quantised import IntWeights, Quantised
from edgecnn.export.statistics import GraphRun
from edgecnn.export.windows import windows
from edgecnn.graph import Array, Graph, Operator

PASSES = 32
"""Bound on how often the network runs over the pictures for a correction in sequence."""


def correct_biases(graph: Graph, quantised: Quantised, means: dict[str, Array]) -> Quantised:
    """Take off what the rounding of each layer's own weights adds; `means` as in `Statistics`."""
    weights = dict(quantised.weights)
    for op in graph:
        if op.name in weights:
            mean_input = means[op.inputs[0]]
            _correct(op, quantised, weights, mean_input, mean_input)
    return replace(quantised, weights=weights)


def correct_biases_in_sequence(
    graph: Graph,
    quantised: Quantised,
    images: NDArray[np.uint8],
) -> Quantised:
    """Also take off what arrives from the layers before, whose activations were rounded too.

    Layers are corrected in order, each by what the quantised network with all earlier corrections
    really feeds it, over uint8 pictures (count, H, W, C).
    """
    layers = [op for op in graph if op.name in quantised.weights]
    # Over the very same pictures: otherwise their difference would count as an error.
    means = GraphRun(graph, sorted({op.inputs[0] for op in layers})).mean(images)
    size = -(-len(layers) // PASSES)
    for start in range(0, len(layers), size):
        group = layers[start : start + size]
        read = {op.name: quantised.graph[op.name].inputs[0] for op in group}
        arriving = GraphRun(quantised.graph, sorted({*read.values()}), quantised).mean(images)
        weights = dict(quantised.weights)
        for op in group:
            _correct(op, quantised, weights, means[op.inputs[0]], arriving[read[op.name]])
        quantised = replace(quantised, weights=weights)
    return quantised


def _correct(
    op: Operator,
    quantised: Quantised,
    weights: dict[str, IntWeights],
    mean_input: Array,
    arriving: Array,
) -> None:
    """Set the bias so that the mean output is the float network's, given the mean arriving."""
    ints = weights[op.name]
    wanted = mean_output(op, mean_input, op.weights["kernel"])
    found = mean_output(op, arriving, ints.real_kernel())
    # In the quantised graph a layer may read its input at another scale.
    (source,) = quantised.graph[op.name].inputs
    step = ints.scales.astype(np.float64) * np.float32(quantised.scales[source].scale)
    bias = np.round((op.weights["bias"] + wanted - found) / step)
    weights[op.name] = replace(ints, bias=bias.astype(np.int32))


def mean_output(op: Operator, mean_input: Array, kernel: Array) -> Array:
    """Mean over all positions of what the operator makes of a picture with that kernel, (out)."""
    if op.op == "dense":
        found: Array = mean_input.reshape(-1).astype(kernel.dtype) @ kernel
        return found
    windows = mean_windows(op, mean_input)  # (kh, kw, in)
    if op.op == "depthwise":
        found = np.einsum("hwi,hwim->im", windows, kernel)
    else:
        groups = op.attributes["groups"]
        kh, kw, per_group, out = kernel.shape
        grouped = windows.reshape(kh, kw, groups, per_group)
        kernels = kernel.reshape(kh, kw, per_group, groups, out // groups)
        found = np.einsum("hwgi,hwigo->go", grouped, kernels)
    return found.reshape(-1)


def mean_windows(op: Operator, picture: Array) -> Array:
    """What each tap of a kernel sees on average over all positions, (kh, kw, in)."""
    every = windows(op, picture)
    found = np.empty((*every.shape[3:], picture.shape[-1]))
    for i, j in np.ndindex(*every.shape[3:]):
        found[i, j] = every[..., i, j].mean(axis=(0, 1))
    return found
