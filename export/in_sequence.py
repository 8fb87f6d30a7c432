"""Layer after layer, each made right for what the quantised layers before it really hand it.

`rounding` and `bias_correction` make a layer right for the float network's activations. Those that
reach it in the quantised network differ, partly by chance and partly in a way that the layer itself
can take back. Of a layer whose weights are rounded here it takes back what least squares say of its
inputs in both networks; then its weights are rounded by the covariance of the inputs it will have
(Li et al., GPTAQ: Efficient Finetuning-Free Quantization for Asymmetric Calibration, 2025, has both
in one step; apart, the first can be held back where few pictures speak for it). Of all others the
bias is corrected behind their ReLU, where only what the ReLU lets through follows the bias. (In
front of it, what is thrown away would decide: MobileNetV2's last layers lose by that.)
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgecnn.export.arrived import Arrived, alone
from edgecnn.export.bias_correction import FOLLOWING, LARGEST_BIAS, means_seen, sure
from edgecnn.export.quantised import IntWeights, Quantised, largest_weight
from edgecnn.export.rounding import (
    STILL,
    WIDEST,
    by_group,
    compensated,
    groups_of,
    inputs_of,
    sampled,
    with_kernel,
)
from edgecnn.export.statistics import GraphRun, channels_last
from edgecnn.graph import Array, Graph, Operator

AT_LEAST, AT_MOST = 1024, 8192
"""Windows of a layer's inputs that are compared, over all pictures."""
LAYER_BYTES = 1 << 24
"""Of a layer's windows, above the least: a depthwise layer's weigh much and tell soon."""
HELD_BYTES = 1 << 29
"""Of the float network's windows, held meanwhile: if all are more, each layer has fewer."""
SMALLEST_SHARE = 0.25
"""Where less fits, as of DenseNet-121, no weights are rounded in sequence."""
DISTRUST = 384
"""By so many pictures must a difference of two inputs be seen to be taken back by half."""


def correct_in_sequence(
    graph: Graph, quantised: Quantised, images: NDArray[np.uint8], weight_bits: int | None = None
) -> Quantised:
    """Correct what arrives from the layers before, by what uint8 pictures (count, H, W, C) show.

    Without `weight_bits` no weights are rounded. The network is not run from its beginning for each
    layer: see `Arrived`.
    """
    layers = [op for op in graph if op.name in quantised.weights]
    held = _held(graph, layers, len(images)) if weight_bits else {}
    wanted, windows = _in_float(graph, layers, held, images)
    arrived = Arrived(quantised.graph.input.name, images)
    all_that_is_read = alone(quantised)
    for op in quantised.graph:
        if op.name in held:
            assert weight_bits is not None
            places, (source,) = held[op.name], op.inputs
            found = [sampled(op, value, places) for value in arrived.values(source, quantised)]
            seen = Seen(windows.pop(op.name), np.concatenate(found, axis=1), len(images))
            step = np.float32(quantised.scales[source].scale)
            limit = largest_weight(weight_bits)
            ints = seen.rounded(graph[op.name], quantised.weights[op.name], step, limit)
            quantised = replace(quantised, weights={**quantised.weights, op.name: ints})
        elif op.name in wanted:
            ints = _shifted(op, quantised, wanted[op.name], arrived.values(op.name, quantised))
            quantised = replace(quantised, weights={**quantised.weights, op.name: ints})
        if op.name in all_that_is_read:
            arrived = arrived.further(op.name, quantised)
    return quantised


def _held(graph: Graph, layers: list[Operator], count: int) -> dict[str, int]:
    """The layers to be rounded: in how many places of each of so many pictures they are looked at.

    A layer over time makes several pictures of one, which are not kept apart.
    """
    fit = [op for op in layers if inputs_of(op) <= WIDEST and graph[op.inputs[0]].shape[0] == 1]
    sizes = {op.name: 4 * groups_of(op) * inputs_of(op) for op in fit}
    most = {
        name: int(np.clip(LAYER_BYTES / size, AT_LEAST, AT_MOST)) for name, size in sizes.items()
    }
    wanted = sum(size * most[name] for name, size in sizes.items())
    share = min(1.0, HELD_BYTES / max(wanted, 1))
    if share < SMALLEST_SHARE:
        return {}
    return {name: math.ceil(share * windows / count) for name, windows in most.items()}


def _in_float(
    graph: Graph, layers: list[Operator], held: dict[str, int], images: NDArray[np.uint8]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """What layers do in float32, by their names.

    Of those `held` the windows they see, (groups, windows, inputs), of the others the mean of each
    channel they make of each picture, (count, channels).
    """
    windows: dict[str, list[Array]] = {name: [] for name in held}
    means: dict[str, list[Array]] = {op.name: [] for op in layers if op.name not in held}
    read = {graph[name].inputs[0] for name in held}
    for answer, tensors in GraphRun(graph, sorted(read | set(means))).over(images):
        tensors[graph.output] = answer[None]
        for name, places in held.items():
            value = channels_last(tensors[graph[name].inputs[0]])
            windows[name].append(sampled(graph[name], value, places))
        for name, found in means.items():
            value = channels_last(tensors[name])
            found.append(value.reshape(-1, value.shape[-1]).mean(axis=0))
    return (
        {name: np.array(found) for name, found in means.items()},
        {name: np.concatenate(found, axis=1) for name, found in windows.items()},
    )


def _shifted(
    op: Operator, quantised: Quantised, wanted: Array, values: Iterator[Array]
) -> IntWeights:
    """The layer with a bias that brings each channel's mean to the float network's."""
    ints = quantised.weights[op.name]
    means, following = means_seen(op, values)
    error = sure(wanted - means)
    step = ints.scales.astype(np.float64) * np.float32(quantised.scales[op.inputs[0]].scale)
    shift = np.where(following >= FOLLOWING, error / np.maximum(following, FOLLOWING), 0)
    bias = np.clip(ints.bias + np.round(shift / step), *LARGEST_BIAS)
    return replace(ints, bias=bias.astype(np.int32))


@dataclass(frozen=True)
class Seen:
    """The same windows of a layer's inputs, (groups, windows, inputs), in both networks."""

    real: Array
    quantised: Array
    pictures: int
    """They are of so many."""

    def rounded(self, op: Operator, ints: IntWeights, step: np.float32, limit: int) -> IntWeights:
        """The layer's integers for inputs of that step, as near to what it does in float."""
        weights = by_group(op, ints.scales)
        # The means are the bias's to make equal.
        mean_real = self.real.mean(axis=1, keepdims=True)
        mean = self.quantised.mean(axis=1, keepdims=True)
        inputs = self.quantised - mean
        covariance = inputs.transpose(0, 2, 1) @ inputs / inputs.shape[1]
        missing = inputs.transpose(0, 2, 1) @ (self.real - mean_real - inputs) / inputs.shape[1]
        variance = np.trace(covariance, axis1=1, axis2=2)[:, None, None] / inputs.shape[2]
        unit = np.where(variance > STILL, variance, 1)
        ridge = DISTRUST / self.pictures * np.eye(inputs.shape[2], dtype=np.float32)
        taken_back = np.linalg.solve(covariance / unit + ridge, missing / unit @ weights)
        kernel = compensated(np.clip(weights + taken_back, -limit, limit), covariance, limit)
        error = (mean_real @ weights - mean @ kernel).reshape(-1)
        bias = np.round((op.weights["bias"] / ints.scales + error) / step)
        return with_kernel(
            op, replace(ints, bias=np.clip(bias, *LARGEST_BIAS).astype(np.int32)), kernel
        )
