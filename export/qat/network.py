"""A quantised network whose integers can still learn.

Built from a `Quantised`, which it computes as the engines do: every tensor and every weight is
rounded where it is rounded there, BatchNorm is folded away and so frozen. What learns are the real
weights behind the integers, the biases, the scales and the zero points; `Int8Network.quantised`
gives back what came of them. It starts as the very network that it was built from.

All that learns is counted in its own steps, or in the logarithm of a scale (Jain et al., Trained
Quantization Thresholds for Accurate and Efficient Fixed-Point Inference of Deep Neural Networks,
2020), so that one learning rate suits every layer of every network.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from edgecnn.export.heads import tail
from edgecnn.export.qat import fake_quantise
from edgecnn.export.qat.compute import Tensor, compute, one_by_one
from edgecnn.export.quantise import FIXED
from edgecnn.export.quantised import IntWeights, Quantised, Scale, largest_weight
from edgecnn.graph import Graph, Operator
from edgecnn.operators import kind_of

GAIN = 1.4
"""By how much a scale may grow or shrink in all: what engines can hold of two scales' ratio has
been seen to by the quantiser, with room for this."""
OFFSETS = 0.1
"""Biases and zero points, in steps of their tensor, learn at this share of the weights' rate: one
of them moves a whole channel, or all of them."""
SCALES = 0.01
"""And the logarithms of scales at this one."""


class FloatNetwork(keras.layers.Layer):  # type: ignore[misc]
    """A folded graph in float32: uint8 pictures (batch, height, width, channels) to a tensor."""

    def __init__(self, graph: Graph, end: str) -> None:
        super().__init__(trainable=False, name="float_network")
        self._graph, self._end = graph, end

    def call(self, pictures: Tensor) -> Tensor:
        """The tensor `end`, (batch, values)."""
        return _flat(_in_batches(self._graph, self._values, pictures))

    def _values(self, pictures: Tensor) -> Tensor:
        return _run(self._graph, self._end, pictures, lambda op, x: compute(op, x, _constants(op)))


class Int8Network(keras.layers.Layer):  # type: ignore[misc]
    """The same with the integers of a `Quantised`, which learn."""

    def __init__(self, quantised: Quantised, end: str) -> None:
        super().__init__(name="int8_network")
        self._start, self._end = quantised, end
        self._source = _sources(quantised)
        self._learning = _learning(quantised, self._source)

    def build(self, shape: Any) -> None:  # noqa: ARG002
        """Make what learns."""
        start = self._start

        def variable(name: str, value: Any, low: float = -np.inf, high: float = np.inf) -> Any:
            array = np.asarray(value, np.float32)
            return self.add_weight(
                array.shape,
                lambda _, dtype: tf.constant(array, dtype),
                name=name.replace("/", "."),
                # Not where it is read: beyond the bound it would have no gradient to come back by.
                constraint=lambda now: keras.ops.clip(now, low, high),
            )

        least, most = -np.log(GAIN) / SCALES, np.log(GAIN) / SCALES
        self._gains = {
            name: variable(f"{name}_gain", 0.0, least, np.log(grown) / SCALES)
            for name, grown in self._learning.items()
        }
        self._zero_points = {
            name: variable(
                f"{name}_zero_point", start.scales[name].zero_point / OFFSETS, 0.0, 255.0 / OFFSETS
            )
            for name in self._learning
            # Where nothing is negative, a zero point of 0 is also what a ReLU is computed by.
            if 0 < start.scales[name].zero_point < 255 and not start.symmetric
        }
        self._steps, self._biases, self._weight_gains = {}, {}, {}
        for name, ints in start.weights.items():
            step = ints.scales * np.float64(start.scales[start.graph[name].inputs[0]].scale)
            # From the very middle of a step: a rounding changes only where many batches agree.
            self._steps[name] = variable(f"{name}_kernel", ints.kernel)
            self._biases[name] = variable(
                f"{name}_bias", ints.bias * step / (start.scales[name].scale * OFFSETS)
            )
            self._weight_gains[name] = variable(
                f"{name}_weight_gain", np.zeros(ints.scales.size), least, most
            )

    def call(self, pictures: Tensor) -> Tensor:
        """The tensor `end`, (batch, values)."""
        return _flat(_in_batches(self._start.graph, self._values, pictures))

    def tensors(self, pictures: Tensor, names: list[str]) -> dict[str, Tensor]:
        """Several tensors as they are held, for one picture (1, height, width, channels)."""
        found: dict[str, Tensor] = {}
        _run(self._start.graph, self._end, pictures, self._computed, found)
        return {name: found[name] for name in names}

    def _values(self, pictures: Tensor) -> Tensor:
        return _run(self._start.graph, self._end, pictures, self._computed)

    def _computed(self, op: Operator, inputs: list[Tensor]) -> Tensor:
        start = self._start.scales.get(op.name)
        in_integers = self._start.runs_in_int8(op)
        if start is not None and in_integers:
            op = replace(op, fused=start.left_of(op.fused))
        weights = _constants(op)
        if op.name in self._start.weights:
            kernel, _, bias = self._weights_of(op)
            weights = {"kernel": kernel, "bias": bias}
        result = compute(op, inputs, weights)
        kind = kind_of(op)
        exact = in_integers and kind.moves and kind.scale != "own"
        if start is None or exact:
            return result
        return fake_quantise.activations(result, *self._scale(op.name))

    def _scale(self, name: str) -> tuple[Tensor, Tensor]:
        """Scale and zero point of a tensor, as they are now."""
        source = self._source[name]
        start = self._start.scales[name]
        scale, point = tf.constant(start.scale), tf.constant(float(start.zero_point))
        if source in self._gains:
            scale *= _gain(self._gains[source])
        if source in self._zero_points:
            point = fake_quantise.rounded(self._zero_points[source] * OFFSETS)
        return scale, point

    def _weights_of(self, op: Operator) -> tuple[Tensor, Tensor, Tensor]:
        """Kernel, scales of its channels, and bias, as they are now."""
        ints, kernel = self._start.weights[op.name], self._steps[op.name]
        scales = ints.scales * _gain(self._weight_gains[op.name])
        real = tf.reshape(kernel, (-1, ints.scales.size)) * ints.scales
        held = fake_quantise.weights(real, scales, float(largest_weight(8)))
        step = tf.stop_gradient(self._scale(op.inputs[0])[0] * scales)
        bias = self._biases[op.name] * (self._start.scales[op.name].scale * OFFSETS)
        return tf.reshape(held, kernel.shape), scales, fake_quantise.rounded(bias / step) * step

    def quantised(self) -> Quantised:
        """What the integers are now."""
        start = self._start
        scales = dict(start.scales)
        for name in scales:
            if self._source[name] in self._learning:
                scale, point = self._scale(name)
                scales[name] = Scale(float(scale), int(point))
        weights = {}
        for name in start.weights:
            op = start.graph[name]
            kernel, of_kernel, bias = (np.asarray(x) for x in self._weights_of(op))
            whole = np.round(kernel.reshape(-1, of_kernel.size) / of_kernel)
            step = of_kernel.astype(np.float64) * np.float32(scales[op.inputs[0]].scale)
            weights[name] = IntWeights(
                whole.astype(np.int8).reshape(kernel.shape),
                np.round(bias / step).astype(np.int32),
                of_kernel,
            )
        return replace(start, scales=scales, weights=weights)


def _run(
    graph: Graph,
    end: str,
    pictures: Tensor,
    computed: Callable[[Operator, list[Tensor]], Tensor],
    found: dict[str, Tensor] | None = None,
) -> Tensor:
    """The tensor `end`; all others go to `found`."""
    found = {} if found is None else found
    for op in graph:
        if op.op == "input":
            shifted = tf.cast(pictures, tf.float32) - op.attributes["zero_point"]
            found[op.name] = shifted * op.attributes["scale"]
        else:
            found[op.name] = computed(op, [found[name] for name in op.inputs])
        if op.name == end:
            break
    return found[end]


def _in_batches(graph: Graph, values: Callable[[Tensor], Tensor], pictures: Tensor) -> Tensor:
    if not one_by_one(graph):
        return values(pictures)
    return tf.map_fn(
        lambda picture: values(picture[None]), pictures, fn_output_signature=tf.float32
    )


def _flat(values: Tensor) -> Tensor:
    return tf.reshape(values, (tf.shape(values)[0], -1))


def _constants(op: Operator) -> dict[str, Tensor]:
    return {name: tf.constant(value, tf.float32) for name, value in op.weights.items()}


def _gain(variable: Any) -> Tensor:
    return tf.exp(variable * SCALES)


def _sources(quantised: Quantised) -> dict[str, str]:
    """For every tensor with a scale, the first of those that share it."""
    source = {name: name for name in quantised.scales}

    def first(name: str) -> str:
        while source[name] != name:
            name = source[name]
        return name

    place = {op.name: i for i, op in enumerate(quantised.graph)}
    for op in quantised.graph:
        if kind_of(op).scale != "own" and quantised.runs_in_int8(op):
            for name in op.inputs:
                earlier, later = sorted((first(name), first(op.name)), key=place.__getitem__)
                source[later] = earlier
    return {name: first(name) for name in source}


def _learning(quantised: Quantised, source: dict[str, str]) -> dict[str, float]:
    """Sources whose scale nothing prescribes, and by how much each may grow.

    The picture's scale is prescribed, and that of some functions; the logits' has room for pictures
    more typical than any here. A tensor clamped at 6 may not outgrow that: up to there its range is
    the clamp, beyond it engines would need an operator.
    """
    graph = quantised.graph
    fixed = {graph.input.name, tail(graph)[1]}
    fixed |= {op.name for op in graph if op.attributes.get("kind") in FIXED}
    most = {
        name: GAIN
        for name in dict.fromkeys(source.values())
        if name not in {source[held] for held in fixed if held in source}
    }
    for op in graph:
        if op.fused == "relu6" and op.name in source and source[op.name] in most:
            high = quantised.scales[op.name].high
            if quantised.scales[op.name].left_of("relu6") != "relu6":
                most[source[op.name]] = min(most[source[op.name]], max(6.0 / high, 1.0))
    return most
