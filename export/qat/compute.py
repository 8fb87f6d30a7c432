"""What each operator computes, in TensorFlow: a graph that gradients go through.

As `edgecnn.graph` describes the operators, for batches of pictures.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from edgecnn.graph import Graph, Operator

Tensor = Any
"""A `tf.Tensor`, or what stands in for a weight: TensorFlow has no types of its own."""
Weights = dict[str, Tensor]


def one_by_one(graph: Graph) -> bool:
    """Whether something mixes the first axis with others, so that pictures cannot go in batches."""
    return any(_moves_first_axis(op) for op in graph)


def _moves_first_axis(op: Operator) -> bool:
    attributes, rank = op.attributes, len(op.shape)
    match op.op:
        case "transpose":
            moves = attributes["perm"][0] != 0
        case "concat" | "gather":
            moves = attributes["axis"] % rank == 0
        case "reduce":
            moves = 0 in attributes["axes"]
        case "softmax":
            moves = rank < 2
        case "matmul":
            moves = rank < 3
        case _:
            moves = False
    return moves or op.shape[:1] != (1,)


def compute(op: Operator, inputs: Sequence[Tensor], weights: Weights) -> Tensor:
    """The operator's result, the function that it fuses included.

    `inputs` and the result have the shapes of the graph with a batch for their first axis.
    """
    result = _OPERATORS[op.op](op, inputs, weights)
    return _FUNCTIONS[op.fused](result) if op.fused else result


def _convolution(op: Operator, inputs: Sequence[Tensor], weights: Weights) -> Tensor:
    kernel, (x,) = weights["kernel"], inputs
    top, bottom, left, right = op.attributes["pads"]
    strides, dilation = op.attributes["strides"], op.attributes["dilation"]
    if op.op == "conv" and (groups := op.attributes["groups"]) > 1:
        # On a CPU TensorFlow has no gradient of a grouped convolution.
        x = tf.pad(x, [(0, 0), (top, bottom), (left, right), (0, 0)])
        parts = [
            tf.nn.conv2d(part, own, strides, "VALID", dilations=dilation)
            for part, own in zip(
                tf.split(x, groups, axis=3), tf.split(kernel, groups, axis=3), strict=True
            )
        ]
        return tf.concat(parts, axis=3) + weights["bias"]
    if op.op == "conv":
        around = [(0, 0), (top, bottom), (left, right), (0, 0)]
        padding = around if any(op.attributes["pads"]) else "VALID"
        return tf.nn.conv2d(x, kernel, strides, padding, dilations=dilation) + weights["bias"]
    if any(op.attributes["pads"]):
        x = tf.pad(x, [(0, 0), (top, bottom), (left, right), (0, 0)])
    rows, columns = strides
    if rows == columns and (rows == 1 or tuple(dilation) == (1, 1)):
        x = tf.nn.depthwise_conv2d(x, kernel, (1, rows, columns, 1), "VALID", dilations=dilation)
    else:  # TensorFlow takes one stride for both axes, and none beside a dilation
        x = tf.nn.depthwise_conv2d(x, kernel, (1, 1, 1, 1), "VALID", dilations=dilation)
        x = x[:, ::rows, ::columns]
    return x + weights["bias"]


def _dense(op: Operator, inputs: Sequence[Tensor], weights: Weights) -> Tensor:  # noqa: ARG001
    return inputs[0] @ weights["kernel"] + weights["bias"]


def _affine(op: Operator, inputs: Sequence[Tensor], weights: Weights) -> Tensor:  # noqa: ARG001
    return inputs[0] * weights["scale"] + weights["shift"]


def _max_pool(op: Operator, x: Tensor) -> Tensor:
    top, bottom, left, right = op.attributes["pads"]
    if any(op.attributes["pads"]):
        around = [(0, 0), (top, bottom), (left, right), (0, 0)]
        x = tf.pad(x, around, constant_values=x.dtype.min)
    return tf.nn.max_pool2d(x, op.attributes["size"], op.attributes["strides"], "VALID")


def _avg_pool(op: Operator, x: Tensor) -> Tensor:
    top, bottom, left, right = op.attributes["pads"]
    size, strides = op.attributes["size"], op.attributes["strides"]
    around = [(0, 0), (top, bottom), (left, right), (0, 0)]
    mean = tf.nn.avg_pool2d(tf.pad(x, around), size, strides, "VALID")
    if not any(op.attributes["pads"]):
        return mean
    inside = tf.pad(tf.ones((1, *x.shape[1:3], 1)), around)
    return mean / tf.nn.avg_pool2d(inside, size, strides, "VALID")


def _reduced(kind: str, axes: Sequence[int], keepdims: bool) -> Callable[[Tensor], Tensor]:
    reduce = getattr(tf, f"reduce_{kind}")
    return lambda x: reduce(x, axis=list(axes), keepdims=keepdims)


def _over_picture(kind: str) -> Callable[..., Tensor]:
    def pooled(op: Operator, inputs: Sequence[Tensor], weights: Weights) -> Tensor:  # noqa: ARG001
        return _reduced(kind, (1, 2), op.attributes["keepdims"])(inputs[0])

    return pooled


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def binary(op: Operator, inputs: Sequence[Tensor], weights: Weights) -> Tensor:
        return function(*_operands(op, inputs, weights))

    return binary


def _operands(op: Operator, inputs: Sequence[Tensor], weights: Weights) -> Sequence[Tensor]:
    if "operand" not in weights:
        return inputs
    constant = weights["operand"]
    return [constant, *inputs] if op.attributes.get("first") else [*inputs, constant]


def _compare(op: Operator, inputs: Sequence[Tensor], weights: Weights) -> Tensor:
    function = getattr(tf, op.attributes["kind"])
    return function(*_operands(op, inputs, weights))


def _select(op: Operator, inputs: Sequence[Tensor], weights: Weights) -> Tensor:  # noqa: ARG001
    flowing = iter(inputs[1:])
    parts = [weights[part] if part in weights else next(flowing) for part in ("then", "other")]
    return tf.where(inputs[0], *parts)


def _slice(op: Operator, x: Tensor) -> Tensor:
    begin, end, strides = (op.attributes[key] for key in ("begin", "end", "strides"))
    inner = [slice(*bounds) for bounds in zip(begin[1:], end[1:], strides[1:], strict=True)]
    return x[(slice(None), *inner)]


def _resize(op: Operator, x: Tensor) -> Tensor:
    return tf.raw_ops.ResizeBilinear(
        images=x,
        size=op.shape[1:3],
        align_corners=op.attributes["align_corners"],
        half_pixel_centers=op.attributes["half_pixel"],
    )


def _pad(op: Operator, x: Tensor) -> Tensor:
    top, bottom, left, right = op.attributes["pads"]
    return tf.pad(x, [(0, 0), (top, bottom), (left, right), (0, 0)])


def _lrn(op: Operator, x: Tensor) -> Tensor:
    attributes = op.attributes
    return tf.nn.local_response_normalization(
        x, attributes["size"] // 2, attributes["k"], attributes["alpha"], attributes["beta"]
    )


def _depth_pool(op: Operator, x: Tensor) -> Tensor:
    parts = tf.reshape(x, (-1, *op.shape[1:], op.attributes["size"]))
    return tf.reduce_max(parts, axis=-1)


def _activation(op: Operator, x: Tensor) -> Tensor:
    if op.attributes["kind"] == "leaky_relu":
        return tf.nn.leaky_relu(x, op.attributes["slope"])
    return _FUNCTIONS[op.attributes["kind"]](x)


def _hard_sigmoid(x: Tensor) -> Tensor:
    return tf.nn.relu6(x + 3.0) / 6.0


def _of_one(function: Callable[[Operator, Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda op, inputs, weights: function(op, inputs[0])  # noqa: ARG005


_OPERATORS: dict[str, Callable[..., Tensor]] = {
    "conv": _convolution,
    "depthwise": _convolution,
    "dense": _dense,
    "affine": _affine,
    "max_pool": _of_one(_max_pool),
    "avg_pool": _of_one(_avg_pool),
    "global_avg_pool": _over_picture("mean"),
    "global_max_pool": _over_picture("max"),
    "add": _binary(tf.add),
    "subtract": _binary(tf.subtract),
    "multiply": _binary(tf.multiply),
    "divide": _binary(tf.divide),
    "maximum": _binary(tf.maximum),
    "minimum": _binary(tf.minimum),
    "power": _binary(tf.pow),
    "compare": _compare,
    "select": _select,
    "matmul": lambda op, inputs, weights: tf.matmul(*inputs),  # noqa: ARG005
    "reduce": _of_one(
        lambda op, x: _reduced(op.attributes["kind"], op.attributes["axes"], keepdims=True)(x)
    ),
    "concat": lambda op, inputs, weights: tf.concat(inputs, op.attributes["axis"]),  # noqa: ARG005
    "slice": _of_one(_slice),
    "gather": _of_one(
        lambda op, x: tf.gather(x, np.array(op.attributes["indices"]), axis=op.attributes["axis"])
    ),
    "transpose": _of_one(lambda op, x: tf.transpose(x, op.attributes["perm"])),
    "pad": _of_one(_pad),
    "reshape": _of_one(lambda op, x: tf.reshape(x, (-1, *op.shape[1:]))),
    "resize": _of_one(_resize),
    "depth_to_space": _of_one(lambda op, x: tf.nn.depth_to_space(x, op.attributes["size"])),
    "space_to_depth": _of_one(lambda op, x: tf.nn.space_to_depth(x, op.attributes["size"])),
    "lrn": _of_one(_lrn),
    "depth_pool": _of_one(_depth_pool),
    "activation": _of_one(_activation),
    "softmax": _of_one(lambda op, x: tf.nn.softmax(x)),  # noqa: ARG005
    "requantise": _of_one(lambda op, x: x),  # noqa: ARG005
}
_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": tf.nn.relu,
    "relu6": tf.nn.relu6,
    "tanh": tf.tanh,
    "sigmoid": tf.sigmoid,
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": lambda x: x * _hard_sigmoid(x),
    "elu": tf.nn.elu,
    "gelu": lambda x: tf.nn.gelu(x, approximate=False),
    "erf": tf.math.erf,
    "softplus": tf.nn.softplus,
    "exp": tf.exp,
    "log": tf.math.log,
    "sqrt": tf.sqrt,
    "rsqrt": tf.math.rsqrt,
    "square": tf.square,
    "abs": tf.abs,
    "sign": tf.sign,
    "floor": tf.floor,
    "ceil": tf.math.ceil,
    "round": tf.round,
    "sin": tf.sin,
    "cos": tf.cos,
    "atan": tf.atan,
}
