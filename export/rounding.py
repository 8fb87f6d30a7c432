"""Adaptive rounding: a weight's rounding error is made up for by the weights not yet rounded.

Rounding each weight to the nearest integer is best only if its inputs have nothing to do with each
other. In pictures neighbours are alike, so that what one weight lost another can mostly restore.
How alike the inputs of a layer are is their covariance over the calibration pictures; its
triangular factor says, column after column, by how much every weight still real is to move (Frantar
et al., GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers, 2022, in
the form without an inverse of Chee et al., QuIP: 2-Bit Quantization of Large Language Models With
Guarantees, 2023; here for convolutions, whose inputs are the windows they see).

The covariance is about the mean, since what is lost of the mean the bias restores for nothing: see
`bias_correction`.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgecnn.export.quantised import IntWeights, Quantised, largest_weight
from edgecnn.export.statistics import GraphRun, channels_last
from edgecnn.export.windows import windows
from edgecnn.graph import Array, Graph, Operator
from edgecnn.operators import WEIGHTED

WIDEST = 1152
"""Inputs of an output from which a layer is left alone: over so many, rounding errors average out
by themselves, and the factor costs the third power."""

WINDOWS = 2048
"""That a layer's covariance is of, spread over all pictures: more of them say the same."""

TOGETHER = 8
"""Pictures whose windows are multiplied at once: to add up their products would take longer."""

DAMPING = 0.01
"""Of the mean variance, added to every variance: no picture says all about the next."""

STILL = float(np.finfo(np.float32).tiny / np.finfo(np.float32).eps)
"""A variance so small that the covariances beside it have lost their digits."""

BLOCK = 128
"""Columns whose effect on later ones is applied at once, as one product of matrices."""


def round_adaptively(
    graph: Graph, quantised: Quantised, seen: dict[str, Array], weight_bits: int
) -> Quantised:
    """Round weights anew, of the layers whose `covariances` were seen."""
    weights = dict(quantised.weights)
    for op in graph:
        if op.name in weights and op.name in seen:
            weights[op.name] = rounded(op, weights[op.name], seen[op.name], weight_bits)
    return replace(quantised, weights=weights)


def inputs_of(op: Operator) -> int:
    """How many numbers one number of the result is made of."""
    kernel = op.weights["kernel"]
    kept = kernel.shape[:-2] if op.op == "depthwise" else kernel.shape[:-1]
    return int(np.prod(kept))


def groups_of(op: Operator) -> int:
    """Into how many independent parts the channels of a layer fall."""
    if op.op == "depthwise":
        return int(op.weights["kernel"].shape[2])
    return int(op.attributes.get("groups", 1))


def covariances(graph: Graph, images: NDArray[np.uint8]) -> dict[str, Array]:
    """Of the inputs of each layer that is not too wide, by the layer's name.

    Float32 (groups, inputs, inputs). `images` are uint8 pictures (count, H, W, C).
    """
    layers = [op for op in graph if op.op in WEIGHTED and inputs_of(op) <= WIDEST]
    shapes = {op.name: (groups_of(op), inputs_of(op)) for op in layers}
    products = {name: np.zeros((*shape, shape[1]), np.float32) for name, shape in shapes.items()}
    sums = {name: np.zeros((shape[0], 1, shape[1])) for name, shape in shapes.items()}
    counts = dict.fromkeys(shapes, 0)
    origins: dict[str, Array] = {}

    def add(name: str, parts: list[Array]) -> None:
        value = np.concatenate(parts, axis=1)
        if name not in origins:
            origins[name] = value.mean(axis=1, keepdims=True)
        # Counted from a point among them: far from zero, small differences would be lost.
        value -= origins[name]
        products[name] += _square(value)
        sums[name] += value.sum(axis=1, keepdims=True)
        counts[name] += value.shape[1]

    places = -(-WINDOWS // len(images))
    run = GraphRun(graph, sorted({op.inputs[0] for op in layers}))
    held: dict[str, list[Array]] = {op.name: [] for op in layers}
    for number, (_, tensors) in enumerate(run.over(images), start=1):
        for op in layers:
            held[op.name].append(sampled(op, channels_last(tensors[op.inputs[0]]), places))
            if number % TOGETHER == 0 or number == len(images):
                add(op.name, held[op.name])
                held[op.name] = []
    # In place: those of DenseNet-201 take 1 GB.
    for name, total in sums.items():
        mean = total / counts[name]
        products[name] /= counts[name]
        products[name] -= mean.transpose(0, 2, 1) * mean
    return products


def _square(value: Array) -> Array:
    if len(value) == 1:
        # Of a matrix with itself numpy computes one half, but not of a stack of them.
        value = value[0]
        product: Array = value.T @ value
        return product[None]
    stacked: Array = value.transpose(0, 2, 1) @ value
    return stacked


def sampled(op: Operator, value: Array, most: int) -> Array:
    """What the layer sees at so many places at most, float32 (groups, places, inputs)."""
    if op.op == "dense":
        return value.reshape(1, -1, inputs_of(op)).copy()
    every = windows(op, value)
    rows, columns, _, kh, kw = every.shape
    places = np.linspace(0, rows * columns - 1, min(most, rows * columns)).astype(int)
    seen = every[places // columns, places % columns]
    groups = groups_of(op)
    seen = seen.reshape(len(places), groups, -1, kh, kw).transpose(1, 0, 3, 4, 2)
    return np.ascontiguousarray(seen.reshape(groups, len(places), -1))


def rounded(op: Operator, ints: IntWeights, covariance: Array, weight_bits: int) -> IntWeights:
    """The layer's weights at the same scales, rounded by the covariance of its inputs."""
    real = by_group(op, ints.scales)
    return with_kernel(op, ints, compensated(real, covariance, largest_weight(weight_bits)))


def by_group(op: Operator, scales: Array) -> Array:
    """A layer's real weights in the steps of its outputs, (groups, inputs, outputs)."""
    real = op.weights["kernel"].reshape(-1, scales.size) / scales
    # Outputs are numbered group by group.
    found: Array = real.reshape(inputs_of(op), groups_of(op), -1).transpose(1, 0, 2)
    return found


def with_kernel(op: Operator, ints: IntWeights, found: Array) -> IntWeights:
    """The layer with these whole weights, (groups, inputs, outputs)."""
    kernel = found.transpose(1, 0, 2).reshape(op.weights["kernel"].shape).astype(np.int8)
    return replace(ints, kernel=kernel)


def compensated(real: Array, covariance: Array, limit: int) -> Array:
    """Integers of at most `limit` for real weights (groups, inputs, outputs), in their steps.

    Input by input; what rounding one leaves is handed to those behind it.
    """
    inputs = real.shape[1]
    variance = np.trace(covariance, axis1=1, axis2=2).astype(np.float64) / inputs
    # Where inputs never change, or less than float32 can tell, any rounding will do.
    changes = (variance > STILL)[:, None, None]
    unit = np.where(changes, variance[:, None, None], 1.0)
    relative = np.where(changes, covariance / unit, 0.0)
    # In units of the variance: untrained networks have some of 1e-40.
    matrix = relative + np.where(changes, DAMPING, 1.0) * np.eye(inputs)
    # An upper triangle times its transpose: the Cholesky factor of the inputs in opposite order.
    upper = np.linalg.cholesky(matrix[:, ::-1, ::-1])[:, ::-1, ::-1]
    feedback = (upper / np.diagonal(upper, axis1=1, axis2=2)[:, None]).astype(np.float32)
    real = real.astype(np.float32)
    wanted, result, errors = real.copy(), np.empty_like(real), np.empty_like(real)
    for start in range(0, inputs, BLOCK):
        stop = min(start + BLOCK, inputs)
        for i in range(start, stop):
            handed = feedback[:, None, start:i, i] @ errors[:, start:i]
            result[:, i] = np.clip(np.round(wanted[:, i] + handed[:, 0]), -limit, limit)
            errors[:, i] = real[:, i] - result[:, i]
        handed = feedback[:, start:stop, stop:].transpose(0, 2, 1) @ errors[:, start:stop]
        wanted[:, stop:] += handed
    return result
