"""Bias correction: what rounding adds to a layer's mean output is taken off its bias.

A convolution is linear, so the mean of its error over all pictures and positions is its weights'
rounding error applied to the mean picture it reads (Nagel et al., Data-Free Quantization Through
Weight Equalization and Bias Correction, 2019, section 4.2, with measured means).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgecnn.export.quantised import Quantised
from edgecnn.export.statistics import GraphRun, channels_last
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


def correct_biases_in_sequence(
    graph: Graph, quantised: Quantised, images: NDArray[np.uint8]
) -> Quantised:
    """Also take off what arrives from the layers before, whose activations were rounded too.

    Layers are corrected in order, each by what the quantised network with all earlier corrections
    really makes of uint8 pictures (count, H, W, C): the mean of each channel is brought to the
    float network's *behind* its ReLU, where only what the ReLU lets through follows the bias. (In
    front of it, what is thrown away would decide: MobileNetV2's last layers lose by that.) What
    differs from picture to picture as much as in the mean is left alone: see `_sure`. The network
    is not run from its beginning for each layer: see `_Arrived`.
    """
    wanted = _means(graph, [op.name for op in graph if op.name in quantised.weights], images)
    arrived = _Arrived(quantised.graph.input.name, images)
    alone = _alone(quantised)
    for op in quantised.graph:
        if op.name in wanted:
            ints = quantised.weights[op.name]
            means, following = _seen(op, arrived.values(op.name, quantised))
            error = _sure(wanted[op.name] - means)
            step = ints.scales.astype(np.float64) * np.float32(quantised.scales[op.inputs[0]].scale)
            shift = np.where(following >= FOLLOWING, error / np.maximum(following, FOLLOWING), 0)
            bias = np.clip(ints.bias + np.round(shift / step), *LARGEST_BIAS).astype(np.int32)
            corrected = replace(ints, bias=bias)
            quantised = replace(quantised, weights={**quantised.weights, op.name: corrected})
        if op.name in alone:
            arrived = arrived.further(op.name, quantised)
    return quantised


def _means(graph: Graph, names: list[str], images: NDArray[np.uint8]) -> dict[str, Array]:
    """The mean of each channel of these tensors in float32, for each picture: (count, channels)."""
    found: dict[str, list[Array]] = {name: [] for name in names}
    for answer, tensors in GraphRun(graph, names).over(images):
        for name in names:
            value = channels_last(tensors[name] if name in tensors else answer[None])
            found[name].append(value.reshape(-1, value.shape[-1]).mean(axis=0))
    return {name: np.array(means) for name, means in found.items()}


def _sure(errors: Array) -> Array:
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


def _seen(op: Operator, values: Iterator[Array]) -> tuple[Array, Array]:
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


@dataclass(frozen=True)
class _Arrived:
    """How far pictures have come through a quantised network: all that what follows will read.

    The integers of a tensor are as good a picture as any: the rest of the network is one that
    begins with them.
    """

    name: str
    pictures: NDArray[np.uint8]
    """(count, H, W, C), at the scale of the tensor of that name."""

    def values(self, name: str, quantised: Quantised) -> Iterator[Array]:
        """A later tensor for each picture: real numbers, (1, ...), NHWC."""
        every, scale = quantised.graph.operators, quantised.scales[self.name]
        first, last = ([op.name for op in every].index(end) for end in (self.name, name))
        begin = {"scale": scale.scale, "zero_point": scale.zero_point}
        start = Operator(self.name, "input", [], every[first].shape, begin)
        part = Graph([start, *every[first + 1 : last + 1]], name, quantised.graph.name)
        for value, _ in GraphRun(part, (), quantised).over(self.pictures):
            yield channels_last(value[None])

    def further(self, name: str, quantised: Quantised) -> "_Arrived":
        """The same pictures where they have come to a later tensor."""
        scale = quantised.scales[name]
        pictures = np.empty((len(self.pictures), *quantised.graph[name].shape[1:]), np.uint8)
        for picture, value in zip(pictures, self.values(name, quantised), strict=True):
            picture[...] = np.round(value[0] / np.float32(scale.scale)) + scale.zero_point
        return _Arrived(name, pictures)


def _alone(quantised: Quantised) -> set[str]:
    """Tensors, held as integers, that are all that what follows them reads."""
    consumers = quantised.graph.consumers()
    found: set[str] = set()
    waiting: dict[str, int] = {}
    for op in quantised.graph:
        for name in op.inputs:
            waiting[name] -= 1
            if not waiting[name]:
                del waiting[name]
        waiting[op.name] = sum(reader.inputs.count(op.name) for reader in consumers[op.name])
        # One for each picture: a layer over time makes several of it, as if they were pictures.
        picture = len(op.shape) == 4 and op.shape[0] == 1
        if set(waiting) == {op.name} and op.name in quantised.scales and picture:
            found.add(op.name)
    return found - {quantised.graph.input.name, quantised.graph.output}


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
