"""Bias correction: what rounding adds to a layer's mean output is taken off its bias.

A convolution is linear, so the mean of its error over all pictures and positions is its weights'
rounding error applied to the mean picture it reads (Nagel et al., Data-Free Quantization Through
Weight Equalization and Bias Correction, 2019, section 4.2, with measured means).
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from edgecnn.export.quantised import Quantised
from edgecnn.export.windows import windows
from edgecnn.graph import Array, Graph, Operator
from edgecnn.operators import FUNCTIONS

FOLLOWING = 0.2
"""Share of a channel's values between its clamps, below which its bias moves too little of it."""
LARGEST_BIAS = -(2**31) + 1, 2**31 - 1


def correct_biases(graph: Graph, quantised: Quantised, means: dict[str, Array]) -> Quantised:
    """Take off what the rounding of each layer's own weights adds; `means` as in `Statistics`."""
    weights = dict(quantised.weights)
    for op in graph:
        if op.name in weights:
            ints, mean_input = weights[op.name], means[op.inputs[0]]
            wanted = mean_output(op, mean_input, op.weights["kernel"])
            found = mean_output(op, mean_input, ints.real_kernel())
            # In the quantised graph a layer may read its input at another scale.
            (source,) = quantised.graph[op.name].inputs
            step = ints.scales.astype(np.float64) * np.float32(quantised.scales[source].scale)
            bias = np.round((op.weights["bias"] + wanted - found) / step)
            weights[op.name] = replace(ints, bias=bias.astype(np.int32))
    return replace(quantised, weights=weights)


def sure(errors: Array) -> Array:
    """The mean of errors (count, channels), drawn towards 0 by how unsure few pictures leave it.

    By the positive part of 1 - variance of the mean / mean² (James and Stein, Estimation with
    Quadratic Loss, 1961, for each channel by itself): what is mere chance in these pictures would
    be added to all others.
    """
    mean: Array = errors.mean(axis=0)
    if len(errors) == 1:
        return mean
    variance = errors.var(axis=0, ddof=1) / len(errors)
    sure: Array = np.maximum(0, 1 - variance / np.maximum(mean**2, np.finfo(np.float32).tiny))
    return mean * sure


def means_seen(op: Operator, values: Iterator[Array]) -> tuple[Array, Array]:
    """Mean of each channel of a layer's results for each picture, (count, channels).

    And the share of them all that follows the layer's bias, (channels,).
    """
    means, shares = [], []
    high = FUNCTIONS[op.fused].high if op.fused else None
    for value in values:
        flat = value.reshape(-1, value.shape[-1])
        between = (flat > 0) & (flat < (np.inf if high is None else 0.9999 * high))
        means.append(flat.mean(axis=0))
        shares.append(between.mean(axis=0) if op.fused else np.ones(flat.shape[1]))
    return np.array(means), np.mean(shares, axis=0)


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
