"""From a Keras model to a `Graph`.

A functional model is walked node by node; each Keras layer has one rule below. What inference
does not need (dropout, auxiliary heads) is gone afterwards. Adding a layer is one more rule.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecnn.errors import ExportError
from edgecnn.export.builder import Builder
from edgecnn.graph import Array, Graph, Operator, Shape, same_pads

if TYPE_CHECKING:
    import keras

Rule = Callable[[Builder, Any, list[str], Shape], str]
_RULES: dict[str, Rule] = {}


def lowers(*layers: str) -> Callable[[Rule], Rule]:
    """Register the rule for Keras layers (or operations) of these class names."""

    def register(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(layers, rule))
        return rule

    return register


def lower(model: "keras.Model", *, values: bool = True) -> Graph:
    """The graph of a functional Keras model.

    With `values` False every weight is a read-only stand-in of the right shape that takes no
    memory: enough for the RAM analysis. Of a model with several outputs the first is kept.

    Raises `ExportError` for a model that is not functional, has no fixed input size, or holds a
    layer without a rule.
    """
    model = getattr(model, "_functional", None) or model  # what a Sequential wraps
    if not hasattr(model, "_nodes_by_depth"):
        raise ExportError(f"{model.name} is a subclassed model: export takes functional models.")
    if len(model.inputs) != 1:
        raise ExportError(f"{model.name} has {len(model.inputs)} inputs: a classifier has one.")
    shape = model.inputs[0].shape
    if len(shape) != 4 or None in shape[1:]:
        raise ExportError(f"{model.name} has no fixed picture size (its input is {shape}).")
    builder = Builder(values)
    image = builder.emit("input", [], (1, *shape[1:]), name="image")
    output = _walk(model, [image], builder)[0]
    return without_dead_ends(Graph(builder.operators, output, name=model.name))


def with_probabilities(graph: Graph) -> Graph:
    """The graph of a classifier, with its softmax if it ended in logits.

    Raises `ExportError` for a network that does not end in one value per class.
    """
    last = graph[graph.output]
    if len(last.shape) != 2:
        raise ExportError(
            f"{graph.name} ends in shape {last.shape[1:]}: a classifier ends in its classes."
        )
    if last.op == "softmax":
        return graph
    softmax = Operator("probabilities", "softmax", [last.name], last.shape)
    return Graph([*graph.operators, softmax], softmax.name, graph.name)


def without_dead_ends(graph: Graph) -> Graph:
    """Drop every operator that the output does not depend on."""
    needed = {graph.output}
    for op in reversed(graph.operators):
        if op.name in needed:
            needed.update(op.inputs)
    kept = [op for op in graph if op.name in needed or op.op == "input"]
    return Graph(kept, graph.output, graph.name)


def _walk(model: Any, inputs: list[str], builder: Builder) -> list[str]:
    """Lower every node of a functional model; returns the names of its outputs."""
    names = {id(tensor): name for tensor, name in zip(model.inputs, inputs, strict=True)}
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            layer = node.operation
            arguments = [names[id(tensor)] for tensor in node.input_tensors]
            if hasattr(layer, "_nodes_by_depth") or hasattr(layer, "_functional"):
                nested = getattr(layer, "_functional", None) or layer
                results = _walk(nested, arguments, builder)
            else:
                rule = _RULES.get(type(layer).__name__)
                if rule is None:
                    raise ExportError(
                        f"Export has no rule for the layer '{layer.name}' "
                        f"({type(layer).__name__}): add one in export/lowering.py."
                    )
                shape = (1, *node.outputs[0].shape[1:])
                _reject_channels_first(layer)
                layer = (
                    _Call(layer, node)
                    if type(layer).__module__.startswith("keras.src.ops")
                    else layer
                )
                results = [rule(builder, layer, arguments, shape)]
            for tensor, name in zip(node.outputs, results, strict=True):
                names[id(tensor)] = name
    return [names[id(tensor)] for tensor in model.outputs]


def _reject_channels_first(layer: Any) -> None:
    if getattr(layer, "data_format", "channels_last") == "channels_first":
        raise ExportError(f"The layer '{layer.name}' is channels-first: export takes NHWC.")


class _Call:
    """A `keras.ops` operation together with the constant it was called with."""

    def __init__(self, operation: Any, node: Any) -> None:
        self.name = operation.name
        given = [*node.arguments.args, *node.arguments.kwargs.values()]
        constants = [a for a in given if isinstance(a, int | float)]
        self.constant = float(constants[0]) if constants else None


def _spatial(builder: Builder, layer: Any, x: str, kernel: tuple[int, ...]) -> dict[str, Any]:
    """Strides, dilation and resolved padding of a layer that slides a window."""
    _, height, width, _ = next(op for op in reversed(builder.operators) if op.name == x).shape
    strides = tuple(layer.strides)
    dilation = tuple(getattr(layer, "dilation_rate", (1, 1)))
    pads = (0, 0, 0, 0)
    if layer.padding == "same":
        pads = (
            *same_pads(height, kernel[0], strides[0], dilation[0]),
            *same_pads(width, kernel[1], strides[1], dilation[1]),
        )
    return {"strides": strides, "pads": pads, "dilation": dilation}


def _bias(builder: Builder, layer: Any, channels: int) -> Array:
    if layer.use_bias:
        return builder.value(layer.bias)
    return np.broadcast_to(np.float32(0), (channels,))


@lowers("Conv2D")
def _conv(builder: Builder, layer: Any, inputs: list[str], shape: Shape) -> str:
    weights = {"kernel": builder.value(layer.kernel), "bias": _bias(builder, layer, shape[-1])}
    window = _spatial(builder, layer, inputs[0], layer.kernel_size)
    x = builder.emit(
        "conv", inputs, shape, name=layer.name, weights=weights, groups=layer.groups, **window
    )
    return builder.activate(x, shape, layer.activation)


@lowers("DepthwiseConv2D")
def _depthwise(builder: Builder, layer: Any, inputs: list[str], shape: Shape) -> str:
    weights = {"kernel": builder.value(layer.kernel), "bias": _bias(builder, layer, shape[-1])}
    window = _spatial(builder, layer, inputs[0], layer.kernel_size)
    x = builder.emit("depthwise", inputs, shape, name=layer.name, weights=weights, **window)
    return builder.activate(x, shape, layer.activation)


@lowers("SeparableConv2D")
def _separable(builder: Builder, layer: Any, inputs: list[str], shape: Shape) -> str:
    kernel = builder.value(layer.depthwise_kernel)
    channels = kernel.shape[2] * kernel.shape[3]
    window = _spatial(builder, layer, inputs[0], layer.kernel_size)
    x = builder.emit(
        "depthwise",
        inputs,
        (*shape[:3], channels),
        name=f"{layer.name}_depthwise",
        weights={"kernel": kernel, "bias": np.zeros(channels, np.float32)},
        **window,
    )
    weights = {
        "kernel": builder.value(layer.pointwise_kernel),
        "bias": _bias(builder, layer, shape[-1]),
    }
    x = builder.emit(
        "conv",
        [x],
        shape,
        name=layer.name,
        weights=weights,
        groups=1,
        strides=(1, 1),
        pads=(0, 0, 0, 0),
        dilation=(1, 1),
    )
    return builder.activate(x, shape, layer.activation)


@lowers("Dense")
def _dense(builder: Builder, layer: Any, inputs: list[str], shape: Shape) -> str:
    if len(shape) != 2:
        raise ExportError(f"The dense layer '{layer.name}' works on pictures: use a 1×1 Conv2D.")
    weights = {"kernel": builder.value(layer.kernel), "bias": _bias(builder, layer, shape[-1])}
    x = builder.emit("dense", inputs, shape, name=layer.name, weights=weights)
    return builder.activate(x, shape, layer.activation)


@lowers("BatchNormalization")
def _batch_normalization(builder: Builder, layer: Any, inputs: list[str], shape: Shape) -> str:
    if layer.axis not in (-1, len(shape) - 1):
        raise ExportError(f"'{layer.name}' normalises axis {layer.axis}, not the channels.")
    mean, variance = builder.value(layer.moving_mean), builder.value(layer.moving_variance)
    scale = 1.0 / np.sqrt(variance.astype(np.float64) + layer.epsilon)
    if layer.scale:
        scale = scale * builder.value(layer.gamma)
    shift = -mean * scale
    if layer.center:
        shift = shift + builder.value(layer.beta)
    return _affine(builder, inputs, shape, scale, shift, layer.name)


@lowers("Rescaling")
def _rescaling(builder: Builder, layer: Any, inputs: list[str], shape: Shape) -> str:
    return _affine(builder, inputs, shape, layer.scale, layer.offset, layer.name)


@lowers("Normalization")
def _normalization(builder: Builder, layer: Any, inputs: list[str], shape: Shape) -> str:
    mean = np.asarray(layer.mean, np.float64).reshape(-1)
    # As Keras does: the deviation is bounded below by its epsilon.
    deviation = np.maximum(np.sqrt(np.asarray(layer.variance, np.float64)).reshape(-1), 1e-7)
    if layer.invert:
        return _affine(builder, inputs, shape, deviation, mean, layer.name)
    return _affine(builder, inputs, shape, 1 / deviation, -mean / deviation, layer.name)


def _affine(
    builder: Builder, inputs: list[str], shape: Shape, scale: Any, shift: Any, name: str
) -> str:
    channels = (shape[-1],)
    weights = {
        "scale": np.broadcast_to(np.asarray(scale, np.float64), channels).copy(),
        "shift": np.broadcast_to(np.asarray(shift, np.float64), channels).copy(),
    }
    return builder.emit("affine", inputs, shape, name=name, weights=weights)


@lowers("Add", "Multiply")
def _merge(builder: Builder, layer: Any, inputs: list[str], shape: Shape) -> str:
    op = "add" if _family(layer) == "add" else "multiply"
    if isinstance(layer, _Call) and layer.constant is not None:
        scale, shift = (1.0, layer.constant) if op == "add" else (layer.constant, 0.0)
        return _affine(builder, inputs, shape, scale, shift, layer.name)
    x = inputs[0]
    for y in inputs[1:]:
        x = builder.emit(op, [x, y], shape, name=layer.name)
    return x


def _family(layer: Any) -> str:
    kind = layer.name if isinstance(layer, _Call) else type(layer).__name__
    return "add" if kind.lower().startswith("add") else "multiply"


@lowers("Concatenate")
def _concatenate(builder: Builder, layer: Any, inputs: list[str], shape: Shape) -> str:
    if layer.axis not in (-1, len(shape) - 1):
        raise ExportError(f"'{layer.name}' joins along axis {layer.axis}, not the channels.")
    return builder.emit("concat", inputs, shape, name=layer.name)


@lowers("MaxPooling2D", "AveragePooling2D")
def _pool(builder: Builder, layer: Any, inputs: list[str], shape: Shape) -> str:
    op = "max_pool" if type(layer).__name__.startswith("Max") else "avg_pool"
    window = _spatial(builder, layer, inputs[0], layer.pool_size)
    del window["dilation"]
    size = tuple(layer.pool_size)
    return builder.emit(op, inputs, shape, name=layer.name, size=size, **window)


@lowers("GlobalAveragePooling2D", "GlobalMaxPooling2D")
def _global_pool(builder: Builder, layer: Any, inputs: list[str], shape: Shape) -> str:
    op = "global_avg_pool" if "Average" in type(layer).__name__ else "global_max_pool"
    return builder.emit(op, inputs, shape, name=layer.name, keepdims=bool(layer.keepdims))


@lowers("ZeroPadding2D")
def _zero_padding(builder: Builder, layer: Any, inputs: list[str], shape: Shape) -> str:
    (top, bottom), (left, right) = layer.padding
    return builder.emit("pad", inputs, shape, name=layer.name, pads=(top, bottom, left, right))


@lowers("Flatten", "Reshape")
def _reshape(builder: Builder, layer: Any, inputs: list[str], shape: Shape) -> str:
    return builder.emit("reshape", inputs, shape, name=layer.name)


@lowers("ReLU")
def _relu(builder: Builder, layer: Any, inputs: list[str], shape: Shape) -> str:
    slope, ceiling = float(layer.negative_slope or 0), layer.max_value
    if layer.threshold or (ceiling not in (None, 6)) or (slope and ceiling):
        raise ExportError(f"'{layer.name}': export knows ReLU, ReLU6 and leaky ReLU.")
    if slope:
        return builder.emit(
            "activation", inputs, shape, name=layer.name, kind="leaky_relu", slope=slope
        )
    kind = "relu6" if ceiling else "relu"
    return builder.emit("activation", inputs, shape, name=layer.name, kind=kind)


@lowers("LeakyReLU")
def _leaky_relu(builder: Builder, layer: Any, inputs: list[str], shape: Shape) -> str:
    slope = float(layer.negative_slope)
    return builder.emit(
        "activation", inputs, shape, name=layer.name, kind="leaky_relu", slope=slope
    )


@lowers("Activation")
def _activation(builder: Builder, layer: Any, inputs: list[str], shape: Shape) -> str:
    return builder.activate(inputs[0], shape, layer.activation)


@lowers("Softmax")
def _softmax(builder: Builder, layer: Any, inputs: list[str], shape: Shape) -> str:
    return builder.emit("softmax", inputs, shape, name=layer.name)


@lowers(
    "Dropout",
    "SpatialDropout2D",
    "GaussianNoise",
    "ActivityRegularization",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "RandomBrightness",
    "RandomContrast",
)
def _only_in_training(builder: Builder, layer: Any, inputs: list[str], shape: Shape) -> str:  # noqa: ARG001
    return inputs[0]


@lowers("LocalResponseNormalization")
def _lrn(builder: Builder, layer: Any, inputs: list[str], shape: Shape) -> str:
    constants = {key: getattr(layer, key) for key in ("size", "alpha", "beta", "k")}
    return builder.emit("lrn", inputs, shape, name=layer.name, **constants)


@lowers("DepthPool")
def _depth_pool(builder: Builder, layer: Any, inputs: list[str], shape: Shape) -> str:
    return builder.emit("depth_pool", inputs, shape, name=layer.name, size=layer.pool_size)
