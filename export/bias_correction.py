"""Bias correction: what rounding the weights adds to a layer's mean output is taken off its bias.

A convolution is linear, so the mean of its error over all pictures and positions is its weights'
rounding error applied to the mean picture it reads (Nagel et al., Data-Free Quantization Through
Weight Equalization and Bias Correction, 2019, section 4.2, with measured means).
"""

from dataclasses import replace

import numpy as np

from edgecnn.export.quantised import Quantised
from edgecnn.graph import Array, Graph, Operator


def correct_biases(graph: Graph, quantised: Quantised, means: dict[str, Array]) -> Quantised:
    """The same quantisation with corrected biases; `means` as in `Statistics`."""
    weights = dict(quantised.weights)
    for op in graph:
        if op.name not in weights:
            continue
        ints = weights[op.name]
        error = op.weights["kernel"] - ints.real_kernel()
        shift = mean_output(op, means[op.inputs[0]], error)
        step = ints.scales.astype(np.float64) * quantised.scales[op.inputs[0]].scale
        bias = ints.bias + np.round(shift / step)
        weights[op.name] = replace(ints, bias=bias.astype(np.int32))
    return replace(quantised, weights=weights)


def mean_output(op: Operator, mean_input: Array, kernel: Array) -> Array:
    """Mean over all positions of what the operator makes of a picture with that kernel, (out)."""
    if op.op == "dense":
        found: Array = mean_input.reshape(-1).astype(np.float64) @ kernel
        return found
    windows = mean_windows(op, mean_input)  # (kh, kw, in)
    if op.op == "depthwise":
        return np.einsum("hwi,hwim->im", windows, kernel).reshape(-1)
    groups = op.attributes["groups"]
    kh, kw, per_group, out = kernel.shape
    grouped = windows.reshape(kh, kw, groups, per_group)
    kernels = kernel.reshape(kh, kw, per_group, groups, out // groups)
    return np.einsum("hwgi,hwigo->go", grouped, kernels).reshape(-1)


def mean_windows(op: Operator, picture: Array) -> Array:
    """What each tap of a kernel sees on average over all positions, (kh, kw, in)."""
    kh, kw = op.weights["kernel"].shape[:2]
    top, bottom, left, right = op.attributes["pads"]
    (sh, sw), (dh, dw) = op.attributes["strides"], op.attributes["dilation"]
    padded = np.pad(picture[0], ((top, bottom), (left, right), (0, 0)))
    height, width = op.shape[1:3]
    found = np.empty((kh, kw, picture.shape[-1]))
    for i in range(kh):
        for j in range(kw):
            rows = slice(i * dh, i * dh + (height - 1) * sh + 1, sh)
            columns = slice(j * dw, j * dw + (width - 1) * sw + 1, sw)
            found[i, j] = padded[rows, columns].mean(axis=(0, 1))
    return found
