"""From a Keras model to a `Graph`.

A functional model is walked node by node. A layer whose structure matters to what follows, since
it has weights to quantise or something to fold, has a rule below; every other layer or operation
is opened: see `opening.py`. What inference does not need (dropout, augmentation, auxiliary heads)
is gone afterwards.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecnn.arithmetic import padding_columns
from edgecnn.errors import ExportError
from edgecnn.export.builder import COMPOSED, Builder, Tensor
from edgecnn.export.einsum import along
from edgecnn.graph import Array, Graph
from edgecnn.operators import FUNCTIONS

if TYPE_CHECKING:
    import keras

Rule = Callable[[Builder, Any, list[str]], str | None]
_RULES: dict[str, Rule] = {}
OURS = ("keras.", "edgecnn.")
"""Modules whose classes the rules' names mean: somebody else's `Dense` may do something else."""


def lowers(*layers: str) -> Callable[[Rule], Rule]:
    """Register the rule for Keras layers of these class names; it gives None to have one opened."""

    def register(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(layers, rule))
        return rule

    return register


def lower(model: "keras.Model", *, values: bool = True, output: int = 0) -> Graph:
    """The graph of a functional Keras model.

    With `values` False every weight is a read-only stand-in of the right shape that takes no
    memory: enough for the RAM analysis. Of a model with several outputs one is kept, by its place.

    Raises `ExportError` for a model that is not functional, has no fixed input size, or holds
    what cannot be exported.
    """
    functional = functional_of(model)
    if functional is None:
        raise ExportError(
            f"{model.name} is a subclassed model, whose layers only its own code knows in their "
            "order: make it functional, x = keras.Input(shape); keras.Model(x, model.call(x))."
        )
    if len(functional.inputs) != 1:
        raise ExportError(
            f"{model.name} has {len(functional.inputs)} inputs: a classifier has one."
        )
    shape = functional.inputs[0].shape
    if len(shape) != 4 or None in shape[1:]:
        raise ExportError(f"{model.name} has no fixed picture size (its input is {shape}).")
    builder = Builder(values)
    image = builder.picture((1, *shape[1:]))
    _refuse_whole_numbers(functional.outputs[output], model.name)
    result = _walk(functional, [image], builder)[output]
    if not isinstance(result, str):
        raise ExportError(f"{model.name} gives the same for every picture.")
    return without_dead_ends(Graph(builder.operators, result, name=model.name))


def _refuse_whole_numbers(output: Any, name: str) -> None:
    """Raise `ExportError` for an end in classes' numbers, or in truths, whose makers are known."""
    kind = str(output.dtype)
    if kind.startswith(("int", "uint", "bool")):
        raise ExportError(
            f"{name} ends in {kind}, as after argmax or a comparison, and has decided by itself: "
            "export the network up to its probabilities, keras.Model(model.input, probabilities); "
            "what runs it takes the largest, or a threshold."
        )


def without_dead_ends(graph: Graph) -> Graph:
    """Drop every operator that the output does not depend on."""
    needed = {graph.output}
    for op in reversed(graph.operators):
        if op.name in needed:
            needed.update(op.inputs)
    kept = [op for op in graph if op.name in needed or op.op == "input"]
    return Graph(kept, graph.output, graph.name)


def functional_of(layer: Any) -> Any:
    """The graph of layers that a layer is nothing but, or None."""
    import keras

    if not isinstance(layer, keras.Model):
        return None
    inner = getattr(layer, "_functional", None) or layer  # what a Sequential wraps
    own = type(layer).call
    plain = own in (keras.Sequential.call, type(inner).call) and own.__module__.startswith("keras.")
    return inner if plain and hasattr(inner, "_nodes_by_depth") else None


def _walk(model: Any, inputs: list[Tensor], builder: Builder) -> list[Tensor]:
    """Lower every node of a functional model; returns its outputs, names or what is constant."""
    names = {id(tensor): name for tensor, name in zip(model.inputs, inputs, strict=True)}
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            arguments = [names[id(tensor)] for tensor in node.input_tensors]
            results = _lower_node(node, arguments, builder)
            for tensor, name in zip(node.outputs, results, strict=True):
                names[id(tensor)] = name
    return [names[id(tensor)] for tensor in model.outputs]


def _lower_node(node: Any, inputs: list[Tensor], builder: Builder) -> list[Tensor]:
    import keras

    layer = node.operation
    kind = type(layer).__name__
    _refuse_mask(node)
    if (nested := functional_of(layer)) is not None:
        return _walk(nested, inputs, builder)
    names = [x for x in inputs if isinstance(x, str)]
    if type(layer).__module__.startswith(OURS) and len(names) == len(inputs):
        if kind == "Lambda":
            raise ExportError(
                f"'{layer.name}' is a Lambda layer, whose Python code no file holds safely: write "
                "it as a layer of your own, a class with a call of keras.ops."
            )
        if getattr(layer, "data_format", "channels_last") == "channels_first":
            raise ExportError(f"The layer '{layer.name}' is channels-first: export takes NHWC.")
        found = None
        if not isinstance(layer, keras.layers.Layer):
            found = _arithmetic(builder, node, names) if kind in ARITHMETIC else None
        elif rule := _RULES.get(kind):
            found = rule(builder, layer, names)
        if found is not None:
            return [found]
    return _open(builder, node, inputs)


def _refuse_mask(node: Any) -> None:
    """Raise `ExportError` for a layer that leaves out what one before it has masked.

    Keras hands a mask on beside a tensor, so that no argument of the layer shows it.
    """
    layer = node.operation
    takes = any(key.endswith("mask") for key in getattr(layer, "call_signature_parameters", ()))
    if not takes or type(layer).__name__ == "BatchNormalization":  # which heeds it in training
        return
    if any(getattr(tensor, "_keras_mask", None) is not None for tensor in node.input_tensors):
        raise ExportError(
            f"'{layer.name}' ({type(layer).__name__}) leaves out what a layer before it masks "
            "(Masking, or mask_zero), which export does not follow: multiply by 0 or 1 instead, "
            "and divide by their sum where a mean is taken."
        )


def _open(builder: Builder, node: Any, inputs: list[Tensor]) -> list[Tensor]:
    """Lower a node by what its call computes; of constants alone it is called."""
    import keras

    from edgecnn.export.primitives import lower_opened

    layer = node.operation
    pairs = list(zip(node.input_tensors, inputs, strict=True))
    flowing = [(tensor, name) for tensor, name in pairs if isinstance(name, str)]
    constant = {id(tensor): value for tensor, value in pairs if not isinstance(value, str)}

    def call(*tensors: Any) -> Any:
        places = {id(tensor): value for (tensor, _), value in zip(flowing, tensors, strict=True)}
        places |= {key: keras.ops.convert_to_tensor(value) for key, value in constant.items()}
        args, kwargs = node.arguments.fill_in(places)
        if isinstance(layer, keras.layers.Layer) and layer._call_has_training_arg:
            kwargs = {**kwargs, "training": False}
        return layer(*args, **kwargs)

    what = f"{layer.name} ({type(layer).__name__})"
    # Floating point of any width is float32 by now.
    types = [
        kind if (kind := str(tensor.dtype)).startswith(("int", "uint", "bool")) else "float32"
        for tensor, _ in flowing
    ]
    if not flowing:
        return [np.asarray(value) for value in keras.tree.flatten(call())]
    names = [name for _, name in flowing]
    return lower_opened(builder, call, names, layer.name, what, types)


ARITHMETIC = {
    "Add": "add",
    "Subtract": "subtract",
    "Multiply": "multiply",
    "Divide": "divide",
    "TrueDivide": "divide",
    "Maximum": "maximum",
    "Minimum": "minimum",
}
"""Operations (`x / 255`) that need not be opened."""


def _arithmetic(builder: Builder, node: Any, inputs: list[str]) -> str | None:
    names = dict(zip(map(id, node.input_tensors), inputs, strict=True))
    args, kwargs = node.arguments.fill_in(names)
    operands = [*args, *kwargs.values()]
    if len(operands) != 2 or not all(
        isinstance(x, str | int | float | np.ndarray) for x in operands
    ):
        return None
    first, second = (x if isinstance(x, str) else np.asarray(x, np.float64) for x in operands)
    layer = node.operation
    return builder.binary(ARITHMETIC[type(layer).__name__], first, second, layer.name)


def _spatial(builder: Builder, layer: Any, x: str, kernel: tuple[int, ...]) -> dict[str, Any]:
    """Strides, dilation and resolved padding of a layer that slides a window."""
    _, height, width, _ = builder.shape(x)
    strides = tuple(layer.strides)
    dilation = tuple(getattr(layer, "dilation_rate", (1, 1)))
    pads = (0, 0, 0, 0)
    if layer.padding == "same":
        pads = (
            *padding_columns(height, kernel[0], strides[0], dilation[0]),
            *padding_columns(width, kernel[1], strides[1], dilation[1]),
        )
    return {"strides": strides, "pads": pads, "dilation": dilation}


def _activated(builder: Builder, x: str, function: Any) -> str | None:
    """Append a layer's `activation=` argument: a function, or a layer."""
    import keras

    if function is None:
        return x
    if isinstance(function, keras.layers.Layer):
        kind = type(function).__name__
        rule = _RULES.get(kind) if type(function).__module__.startswith(OURS) else None
        found = rule(builder, function, [x]) if rule else None
        return found or _call(builder, function, x, function.name)
    kind = getattr(function, "__name__", type(function).__name__)
    name = f"{x}_{kind}"
    known = getattr(keras.activations, kind, None)
    if function is not known or kind not in {*FUNCTIONS, *COMPOSED}:
        return _call(builder, function, x, name)
    return builder.function(kind, x, name)


def _call(builder: Builder, function: Callable[[Any], Any], x: str, name: str) -> str:
    from edgecnn.export.primitives import lower_opened

    what = f"the activation at '{name}'"
    (found,) = lower_opened(builder, function, [x], name, what)
    if not isinstance(found, str):
        raise ExportError(f"{what} gives the same for every picture: leave it out.")
    return found


def _bias(builder: Builder, layer: Any, channels: int) -> Array:
    if layer.use_bias:
        return builder.value(layer.bias)
    return np.broadcast_to(np.float32(0), (channels,))


@lowers("Conv2D")
def _conv(builder: Builder, layer: Any, inputs: list[str]) -> str | None:
    kernel = builder.value(layer.kernel)
    window = _spatial(builder, layer, inputs[0], layer.kernel_size)
    bias = _bias(builder, layer, kernel.shape[-1])
    x = builder.convolution(inputs[0], kernel, bias, layer.name, **window)
    return _activated(builder, x, layer.activation)


@lowers("DepthwiseConv2D")
def _depthwise(builder: Builder, layer: Any, inputs: list[str]) -> str | None:
    x = _depthwise_part(builder, layer, inputs[0], layer.kernel, layer.name, layer.use_bias)
    return _activated(builder, x, layer.activation)


def _depthwise_part(
    builder: Builder, layer: Any, x: str, variable: Any, name: str, biased: bool
) -> str:
    kernel = builder.value(variable)
    channels = kernel.shape[2] * kernel.shape[3]
    bias = builder.value(layer.bias) if biased else np.zeros(channels, np.float32)
    window = _spatial(builder, layer, x, layer.kernel_size)
    return builder.depthwise(x, kernel, bias, name, **window)


@lowers("SeparableConv2D")
def _separable(builder: Builder, layer: Any, inputs: list[str]) -> str | None:
    x = _depthwise_part(
        builder, layer, inputs[0], layer.depthwise_kernel, f"{layer.name}_depthwise", False
    )
    kernel = builder.value(layer.pointwise_kernel)
    x = builder.convolution(x, kernel, _bias(builder, layer, kernel.shape[-1]), layer.name)
    return _activated(builder, x, layer.activation)


@lowers("Conv2DTranspose")
def _transposed(builder: Builder, layer: Any, inputs: list[str]) -> str | None:
    if tuple(layer.dilation_rate) != (1, 1):
        raise ExportError(
            f"'{layer.name}' is transposed and dilated: export knows one or the other."
        )
    kernel, (sh, sw) = builder.value(layer.kernel), tuple(layer.strides)
    shape = layer.compute_output_shape(builder.shape(inputs[0]))
    before = [0, 0]
    if layer.padding == "same":
        before = [
            padding_columns(n, k, s)[0]
            for n, k, s in zip(shape[1:3], kernel.shape[:2], (sh, sw), strict=True)
        ]
    if layer.output_padding is not None:
        return None
    x = builder.transposed_convolution(
        inputs[0],
        kernel,
        _bias(builder, layer, kernel.shape[2]),
        layer.name,
        strides=(sh, sw),
        shape=shape,
        before=(before[0], before[1]),
    )
    return _activated(builder, x, layer.activation)


@lowers("Dense")
def _dense(builder: Builder, layer: Any, inputs: list[str]) -> str | None:
    kernel = builder.value(layer.kernel)
    bias = _bias(builder, layer, kernel.shape[-1])
    x = builder.dense(inputs[0], kernel, bias, layer.name)
    return _activated(builder, x, layer.activation)


@lowers("BatchNormalization")
def _batch_normalization(builder: Builder, layer: Any, inputs: list[str]) -> str | None:
    if layer.axis not in (-1, len(builder.shape(inputs[0])) - 1):
        return None
    mean, variance = builder.value(layer.moving_mean), builder.value(layer.moving_variance)
    scale = 1.0 / np.sqrt(variance.astype(np.float64) + layer.epsilon)
    if layer.scale:
        scale = scale * builder.value(layer.gamma)
    shift = -mean * scale
    if layer.center:
        shift = shift + builder.value(layer.beta)
    return builder.affine(inputs[0], scale, shift, layer.name, learned=True)


@lowers("Rescaling")
def _rescaling(builder: Builder, layer: Any, inputs: list[str]) -> str | None:
    return builder.affine(inputs[0], layer.scale, layer.offset, layer.name)


@lowers("Normalization")
def _normalization(builder: Builder, layer: Any, inputs: list[str]) -> str | None:
    mean, variance = (np.asarray(x, np.float64) for x in (layer.mean, layer.variance))
    if mean.size not in (1, builder.shape(inputs[0])[-1]) or mean.shape[-1:] != (mean.size,):
        return None
    # As Keras does: the deviation is bounded below by its epsilon.
    mean, deviation = mean.reshape(-1), np.maximum(np.sqrt(variance).reshape(-1), 1e-7)
    if layer.invert:
        return builder.affine(inputs[0], deviation, mean, layer.name)
    return builder.affine(inputs[0], 1 / deviation, -mean / deviation, layer.name)


@lowers("Add", "Multiply", "Maximum", "Minimum", "Average", "Subtract")
def _merge(builder: Builder, layer: Any, inputs: list[str]) -> str | None:
    kind = type(layer).__name__.lower()
    op = "add" if kind == "average" else kind
    x = inputs[0]
    for y in inputs[1:]:
        x = builder.binary(op, x, y, layer.name)
    if kind == "average":
        x = builder.affine(x, 1 / len(inputs), 0.0, f"{layer.name}_mean")
    return x


@lowers("Concatenate")
def _concatenate(builder: Builder, layer: Any, inputs: list[str]) -> str | None:
    return builder.concat(inputs, layer.axis, layer.name)


@lowers("MaxPooling2D", "AveragePooling2D")
def _pool(builder: Builder, layer: Any, inputs: list[str]) -> str | None:
    op = "max_pool" if type(layer).__name__.startswith("Max") else "avg_pool"
    window = _spatial(builder, layer, inputs[0], layer.pool_size)
    del window["dilation"]
    shape = layer.compute_output_shape(builder.shape(inputs[0]))
    size = tuple(layer.pool_size)
    return builder.emit(op, inputs, shape, name=layer.name, size=size, **window)


@lowers("GlobalAveragePooling2D", "GlobalMaxPooling2D")
def _global_pool(builder: Builder, layer: Any, inputs: list[str]) -> str | None:
    kind = "mean" if "Average" in type(layer).__name__ else "max"
    return builder.reduce(kind, inputs[0], (1, 2), bool(layer.keepdims), layer.name)


@lowers("AdaptiveAveragePooling2D", "AdaptiveMaxPooling2D")
def _adaptive_pool(builder: Builder, layer: Any, inputs: list[str]) -> str | None:
    """Into so many parts of rows, then of columns, which may overlap."""
    x = inputs[0]
    for axis, count in zip((1, 2), layer.output_size, strict=True):
        n = builder.shape(x)[axis]
        parts = [(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]
        name = f"{layer.name}_{axis}"
        if type(layer).__name__ == "AdaptiveAveragePooling2D":
            matrix = np.zeros((count, n), np.float32)
            for row, (first, last) in zip(matrix, parts, strict=True):
                row[first:last] = 1 / (last - first)
            x = along(builder, x, axis, matrix, name)
        else:
            largest = [
                builder.reduce("max", builder.part(x, axis, *ends, name), (axis,), True, name)
                for ends in parts
            ]
            x = builder.concat(largest, axis, name)
    return x


@lowers("ZeroPadding2D")
def _zero_padding(builder: Builder, layer: Any, inputs: list[str]) -> str | None:
    rows, columns = layer.padding
    return builder.pad(inputs[0], ((0, 0), tuple(rows), tuple(columns), (0, 0)), layer.name)


@lowers("UpSampling2D")
def _up_sampling(builder: Builder, layer: Any, inputs: list[str]) -> str | None:
    if layer.interpolation != "nearest":
        return None
    x = inputs[0]
    for axis, times in zip((1, 2), layer.size, strict=True):
        places = np.repeat(np.arange(builder.shape(x)[axis]), times)
        x = builder.gather(x, axis, places.tolist(), f"{layer.name}_{axis}")
    return x


@lowers("Flatten", "Reshape")
def _reshape(builder: Builder, layer: Any, inputs: list[str]) -> str | None:
    shape = layer.compute_output_shape(builder.shape(inputs[0]))
    return builder.reshape(inputs[0], shape, layer.name)


@lowers("ReLU")
def _relu(builder: Builder, layer: Any, inputs: list[str]) -> str | None:
    slope, ceiling = float(layer.negative_slope or 0), layer.max_value
    if layer.threshold or ceiling not in (None, 6) or (slope and ceiling):
        return None
    if slope:
        return builder.activation("leaky_relu", inputs[0], layer.name, slope=slope)
    return builder.activation("relu6" if ceiling else "relu", inputs[0], layer.name)


@lowers("LeakyReLU")
def _leaky_relu(builder: Builder, layer: Any, inputs: list[str]) -> str | None:
    slope = float(layer.negative_slope)
    return builder.activation("leaky_relu", inputs[0], layer.name, slope=slope)


@lowers("ELU")
def _elu(builder: Builder, layer: Any, inputs: list[str]) -> str | None:
    return builder.function("elu", inputs[0], layer.name, alpha=float(layer.alpha))


@lowers("Activation")
def _activation(builder: Builder, layer: Any, inputs: list[str]) -> str | None:
    return _activated(builder, inputs[0], layer.activation)


@lowers("Softmax")
def _softmax(builder: Builder, layer: Any, inputs: list[str]) -> str | None:
    if not isinstance(layer.axis, int) or len(inputs) != 1:
        return None
    return builder.softmax(inputs[0], layer.axis, layer.name)


@lowers(
    "ActivityRegularization",
    "AlphaDropout",
    "MixUp",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomContrast",
    "RandomCrop",
    "RandomFlip",
    "RandomGrayscale",
    "RandomHue",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomTranslation",
    "RandomZoom",
    "SpatialDropout2D",
)
def _only_in_training(builder: Builder, layer: Any, inputs: list[str]) -> str | None:
    # RandomCrop takes the centre in inference, unless there is nothing to crop.
    shape = layer.compute_output_shape(builder.shape(inputs[0]))
    return inputs[0] if tuple(shape[1:]) == builder.shape(inputs[0])[1:] else None


@lowers("LocalResponseNormalization")
def _lrn(builder: Builder, layer: Any, inputs: list[str]) -> str | None:
    constants = {key: getattr(layer, key) for key in ("size", "alpha", "beta", "k")}
    return builder.emit("lrn", inputs, builder.shape(inputs[0]), name=layer.name, **constants)


@lowers("DepthPool")
def _depth_pool(builder: Builder, layer: Any, inputs: list[str]) -> str | None:
    shape = layer.compute_output_shape(builder.shape(inputs[0]))
    return builder.emit("depth_pool", inputs, shape, name=layer.name, size=layer.pool_size)


def layers_with_rules() -> list[str]:
    """Names of the Keras layers that have a rule here."""
    return sorted(_RULES)
