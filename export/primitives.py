"""TensorFlow's primitives as operators of a `Graph`: what opened layers are made of.

A rule takes the builder, the primitive, and its inputs, each the name of a tensor or a constant.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgecnn.errors import ExportError
from edgecnn.export.builder import Builder, Tensor
from edgecnn.export.einsum import einsum, product
from edgecnn.export.opening import opened
from edgecnn.graph import Array, Shape, same_pads

Rule = Callable[[Builder, Any, Sequence[Tensor], str], Tensor | list[Tensor]]
_RULES: dict[str, Rule] = {}

BINARY = {
    "AddV2": "add",
    "Add": "add",
    "Sub": "subtract",
    "Mul": "multiply",
    "RealDiv": "divide",
    "Div": "divide",
    "Maximum": "maximum",
    "Minimum": "minimum",
    "Pow": "power",
}
COMPARISONS = {
    "Greater": "greater",
    "GreaterEqual": "greater_equal",
    "Less": "less",
    "LessEqual": "less_equal",
    "Equal": "equal",
    "NotEqual": "not_equal",
}
FUNCTIONS = {
    "Relu": "relu",
    "Relu6": "relu6",
    "Elu": "elu",
    "Selu": "selu",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Exp": "exp",
    "Expm1": "expm1",
    "Log": "log",
    "Log1p": "log1p",
    "Sqrt": "sqrt",
    "Rsqrt": "rsqrt",
    "Square": "square",
    "Abs": "abs",
    "Sign": "sign",
    "Neg": "neg",
    "Reciprocal": "reciprocal",
    "Inv": "reciprocal",
    "Erf": "erf",
    "Erfc": "erfc",
    "Floor": "floor",
    "Ceil": "ceil",
    "Round": "round",
    "Rint": "round",
    "Sin": "sin",
    "Cos": "cos",
}
REDUCTIONS = {"Mean": "mean", "Sum": "sum", "Max": "max", "Min": "min", "Prod": "prod"}
SAME = (
    "Identity",
    "IdentityN",
    "StopGradient",
    "PreventGradient",
    "Snapshot",
    "CheckNumerics",
    "EnsureShape",
    "PlaceholderWithDefault",
)


def lower_opened(
    builder: Builder, call: Callable[..., Any], inputs: Sequence[str], name: str, what: str
) -> list[str]:
    """Trace a call and lower what it is made of; the names of its results.

    `what` says in errors what was called. Raises `ExportError` for a primitive without a rule.
    """
    found = opened(call, [builder.shape(x) for x in inputs], what)
    values: dict[str, Tensor] = dict(found.constants)
    values |= dict(zip(found.inputs, inputs, strict=True))
    for primitive in found.primitives:
        arguments = [values[tensor.name] for tensor in primitive.inputs]
        step = f"{name}.{primitive.name.rpartition('/')[2]}"
        if primitive.type in SAME:
            results: Tensor | list[Tensor] = arguments
        else:
            rule = _RULES.get(primitive.type)
            if rule is None:
                raise ExportError(
                    f"Export has no rule for {primitive.type}, which {what} computes with: express "
                    "it by other operations, or leave it out of what runs on a board."
                )
            results = rule(builder, primitive, arguments, step)
        if isinstance(results, str | np.ndarray):
            results = [results]
        values |= {
            tensor.name: value for tensor, value in zip(primitive.outputs, results, strict=False)
        }
    outputs = [values[output] for output in found.outputs]
    if any(not isinstance(output, str) for output in outputs):
        raise ExportError(f"{what} gives the same for every picture: leave it out.")
    return [output for output in outputs if isinstance(output, str)]


def _lowers(*types: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(types, rule))
        return rule

    return register


def _flowing(x: Tensor, name: str) -> str:
    if not isinstance(x, str):
        raise ExportError(f"'{name}' works on a constant where a picture's features are expected.")
    return x


def _constant(x: Tensor, name: str) -> Array:
    if isinstance(x, str):
        raise ExportError(f"'{name}' depends on the picture where export needs it to be fixed.")
    return x


def _text(primitive: Any, key: str) -> str:
    value = primitive.get_attr(key)
    return value.decode() if isinstance(value, bytes) else str(value)


def _same(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    return inputs[0]


@_lowers(*BINARY)
def _binary(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    return builder.binary(BINARY[primitive.type], inputs[0], inputs[1], name)


@_lowers("AddN")
def _add_n(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    total = inputs[0]
    for other in inputs[1:]:
        total = builder.binary("add", total, other, name)
    return total


@_lowers("DivNoNan")
def _quotient(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    below = _constant(inputs[1], name)
    return builder.binary(
        "multiply", inputs[0], np.where(below == 0, 0, 1 / np.where(below == 0, 1, below)), name
    )


@_lowers("SquaredDifference")
def _squared_difference(
    builder: Builder,
    primitive: Any,  # noqa: ARG001
    inputs: Sequence[Tensor],
    name: str,
) -> Tensor:
    difference = builder.binary("subtract", inputs[0], inputs[1], f"{name}_difference")
    return builder.activation("square", difference, name)


@_lowers(*COMPARISONS)
def _comparison(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    kind = COMPARISONS[primitive.type]
    return builder.binary("compare", inputs[0], inputs[1], name, kind=kind)


@_lowers("SelectV2", "Select")
def _select(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    condition, then, other = inputs
    if not isinstance(condition, str):
        mask = np.asarray(condition, np.float32)
        kept = builder.binary("multiply", then, mask, f"{name}_then")
        return builder.binary(
            "add", kept, builder.binary("multiply", other, 1 - mask, f"{name}_other"), name
        )
    return builder.select(condition, then, other, name)


@_lowers("Cast")
def _cast(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    if primitive.outputs[0].dtype.is_floating and primitive.inputs[0].dtype.is_floating:
        return inputs[0]
    if primitive.inputs[0].dtype.name == "bool" and primitive.outputs[0].dtype.is_floating:
        one, zero = np.ones((), np.float32), np.zeros((), np.float32)
        return builder.select(_flowing(inputs[0], name), one, zero, name)
    raise ExportError(
        f"'{name}' turns features into {primitive.outputs[0].dtype.name}: export computes in "
        "floating point."
    )


@_lowers("ClipByValue")
def _clip(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    above = builder.binary("maximum", inputs[0], inputs[1], f"{name}_low")
    return builder.binary("minimum", above, inputs[2], name)


@_lowers(*FUNCTIONS)
def _function(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    return builder.function(FUNCTIONS[primitive.type], _flowing(inputs[0], name), name)


@_lowers("LeakyRelu")
def _leaky_relu(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    slope = float(primitive.get_attr("alpha"))
    return builder.function("leaky_relu", _flowing(inputs[0], name), name, slope=slope)


@_lowers("Softmax", "LogSoftmax")
def _softmax(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    kind = "softmax" if primitive.type == "Softmax" else "log_softmax"
    return builder.function(kind, _flowing(inputs[0], name), name)


@_lowers(*REDUCTIONS)
def _reduce(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    axes = np.atleast_1d(_constant(inputs[1], name)).tolist()
    keepdims = bool(primitive.get_attr("keep_dims"))
    kind = REDUCTIONS[primitive.type]
    return builder.reduce(kind, _flowing(inputs[0], name), axes, keepdims, name)


@_lowers("EuclideanNorm")
def _norm(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    axes = np.atleast_1d(_constant(inputs[1], name)).tolist()
    squares = builder.activation("square", _flowing(inputs[0], name), f"{name}_square")
    keepdims = bool(primitive.get_attr("keep_dims"))
    return builder.activation(
        "sqrt", builder.reduce("sum", squares, axes, keepdims, f"{name}_sum"), name
    )


# movement


@_lowers("Reshape", "Squeeze", "ExpandDims")
def _reshape(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    return builder.reshape(_flowing(inputs[0], name), tuple(primitive.outputs[0].shape), name)


@_lowers("Transpose")
def _transpose(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    return builder.transpose(_flowing(inputs[0], name), _constant(inputs[1], name).tolist(), name)


@_lowers("StridedSlice")
def _strided_slice(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    x = _flowing(inputs[0], name)
    begin, end, strides = (_constant(part, name).tolist() for part in inputs[1:])
    masks = {
        key: primitive.get_attr(f"{key}_mask")
        for key in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    shape = builder.shape(x)

    def bit(key: str, place: int) -> bool:
        return bool(masks[key] >> place & 1)

    given = [i for i in range(len(begin)) if not bit("new_axis", i) and not bit("ellipsis", i)]
    slices: list[slice] = []
    for i in range(len(begin)):
        if bit("new_axis", i):
            continue
        if bit("ellipsis", i):
            slices += [slice(None)] * (len(shape) - len(given))
        elif bit("shrink_axis", i):
            slices.append(slice(begin[i], begin[i] + 1 or None))
        else:
            first = None if bit("begin", i) else begin[i]
            last = None if bit("end", i) else end[i]
            slices.append(slice(first, last, strides[i]))
    slices += [slice(None)] * (len(shape) - len(slices))
    bounds = [part.indices(n) for part, n in zip(slices, shape, strict=True)]
    first, last, step = (list(part) for part in zip(*bounds, strict=True))
    x = builder.slice(x, first, last, step, name)
    return builder.reshape(x, tuple(primitive.outputs[0].shape), f"{name}_axes")


@_lowers("Slice")
def _slice(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    begin = _constant(inputs[1], name).tolist()
    end = [first + n for first, n in zip(begin, primitive.outputs[0].shape, strict=True)]
    return builder.slice(_flowing(inputs[0], name), begin, end, [1] * len(end), name)


@_lowers("Split", "SplitV")
def _split(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> list[Tensor]:
    along, source = (inputs[0], inputs[1]) if primitive.type == "Split" else (inputs[2], inputs[0])
    axis, x = int(_constant(along, name)), _flowing(source, name)
    shape, begin, parts = builder.shape(x), 0, []
    for i, result in enumerate(primitive.outputs):
        length = int(result.shape[axis])
        first, last = [0] * len(shape), list(shape)
        first[axis % len(shape)], last[axis % len(shape)] = begin, begin + length
        parts.append(builder.slice(x, first, last, [1] * len(shape), f"{name}_{i}"))
        begin += length
    return list(parts)


@_lowers("Unpack")
def _unpack(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> list[Tensor]:
    x = _flowing(inputs[0], name)
    axis = primitive.get_attr("axis")
    parts = [builder.gather(x, axis, [i], f"{name}_{i}") for i in range(len(primitive.outputs))]
    return [
        builder.reshape(part, tuple(result.shape), f"{name}_axes")
        for part, result in zip(parts, primitive.outputs, strict=True)
    ]


@_lowers("Pack")
def _pack(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    shape = list(primitive.outputs[0].shape)
    axis = primitive.get_attr("axis") % len(shape)
    shape[axis] = 1
    parts = [
        builder.reshape(part, shape, f"{name}_part")
        if isinstance(part, str)
        else part.reshape(shape)
        for part in inputs
    ]
    return builder.concat(parts, axis, name)


@_lowers("ConcatV2")
def _concat(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    return builder.concat(list(inputs[:-1]), int(_constant(inputs[-1], name)), name)


@_lowers("Pad", "PadV2")
def _pad(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    value = float(_constant(inputs[2], name)) if len(inputs) > 2 else 0.0
    widths = [tuple(width) for width in _constant(inputs[1], name).tolist()]
    return builder.pad(_flowing(inputs[0], name), widths, name, value)


@_lowers("MirrorPad")
def _mirror_pad(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    mode: Any = _text(primitive, "mode").lower()
    x = _flowing(inputs[0], name)
    for axis, width in enumerate(_constant(inputs[1], name).tolist()):
        places = np.pad(np.arange(builder.shape(x)[axis]), width, mode=mode)
        x = builder.gather(x, axis, places.tolist(), f"{name}_{axis}")
    return x


@_lowers("Tile")
def _tile(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    x = _flowing(inputs[0], name)
    for axis, times in enumerate(_constant(inputs[1], name).tolist()):
        x = builder.gather(x, axis, [*range(builder.shape(x)[axis])] * times, f"{name}_{axis}")
    return x


@_lowers("BroadcastTo")
def _broadcast(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    x, shape = _flowing(inputs[0], name), tuple(primitive.outputs[0].shape)
    x = builder.reshape(x, (1,) * (len(shape) - len(builder.shape(x))) + builder.shape(x), name)
    for axis, n in enumerate(shape):
        if builder.shape(x)[axis] != n:
            x = builder.gather(x, axis, [0] * n, f"{name}_{axis}")
    return x


@_lowers("ZerosLike", "OnesLike")
def _constant_like(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    value = 0.0 if primitive.type == "ZerosLike" else 1.0
    return np.full(builder.shape(inputs[0]), value, np.float32)


@_lowers("ReverseV2")
def _reverse(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    x = _flowing(inputs[0], name)
    for axis in np.atleast_1d(_constant(inputs[1], name)).tolist():
        places = range(builder.shape(x)[axis])[::-1]
        x = builder.gather(x, axis, list(places), f"{name}_{axis}")
    return x


@_lowers("Roll")
def _roll(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    x = _flowing(inputs[0], name)
    shifts, axes = (np.atleast_1d(_constant(part, name)).tolist() for part in inputs[1:])
    for shift, axis in zip(shifts, axes, strict=True):
        places = np.roll(np.arange(builder.shape(x)[axis]), shift)
        x = builder.gather(x, axis, places.tolist(), f"{name}_{axis}")
    return x


@_lowers("GatherV2")
def _gather(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    indices = _constant(inputs[1], name)
    axis = int(_constant(inputs[2], name))
    x = builder.gather(_flowing(inputs[0], name), axis, indices.reshape(-1).tolist(), name)
    return builder.reshape(x, tuple(primitive.outputs[0].shape), f"{name}_axes")


@_lowers("DepthToSpace", "SpaceToDepth")
def _blocks(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    op = "depth_to_space" if primitive.type == "DepthToSpace" else "space_to_depth"
    shape = tuple(primitive.outputs[0].shape)
    size = int(primitive.get_attr("block_size"))
    return builder.emit(op, [_flowing(inputs[0], name)], shape, name=name, size=size)


@_lowers("ResizeBilinear", "ResizeNearestNeighbor")
def _resize(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    rule: dict[str, Any] = {
        "half_pixel": bool(primitive.get_attr("half_pixel_centers")),
        "align_corners": bool(primitive.get_attr("align_corners")),
    }
    shape = tuple(primitive.outputs[0].shape)
    x = _flowing(inputs[0], name)
    if primitive.type == "ResizeNearestNeighbor":
        return nearest(builder, x, shape, name, **rule)
    return builder.emit("resize", [x], shape, name=name, **rule)


def nearest(
    builder: Builder, x: str, shape: Shape, name: str, *, half_pixel: bool, align_corners: bool
) -> str:
    """Rows and columns repeated or left out, as TensorFlow's nearest neighbour chooses them."""
    for axis in (1, 2):
        have, want = builder.shape(x)[axis], shape[axis]
        if align_corners and want > 1:
            places = np.floor(np.arange(want) * ((have - 1) / (want - 1)) + 0.5)
        else:
            step = np.float32(have / want)
            offset = np.float32(0.5 if half_pixel else 0.0)
            places = np.floor((np.arange(want, dtype=np.float32) + offset) * step)
        places = np.minimum(places, have - 1).astype(int)
        x = builder.gather(x, axis, places.tolist(), f"{name}_{axis}")
    return x


# weights


@_lowers("BiasAdd")
def _bias_add(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    _reject_channels_first(primitive, name)
    return builder.binary("add", inputs[0], inputs[1], name)


@_lowers("FusedBatchNormV3", "FusedBatchNormV2", "FusedBatchNorm")
def _batch_norm(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    _reject_channels_first(primitive, name)
    gamma, beta, mean, variance = (_constant(x, name).astype(np.float64) for x in inputs[1:5])
    scale = gamma / np.sqrt(variance + primitive.get_attr("epsilon"))
    return builder.affine(_flowing(inputs[0], name), scale, beta - mean * scale, name)


@_lowers("Conv2D", "DepthwiseConv2dNative")
def _convolution(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    _reject_channels_first(primitive, name)
    x, kernel = _flowing(inputs[0], name), _constant(inputs[1], name).astype(np.float32)
    strides, dilation = (tuple(primitive.get_attr(key)[1:3]) for key in ("strides", "dilations"))
    pads = _pads(builder.shape(x), kernel.shape, strides, dilation, primitive)
    if primitive.type == "Conv2D":
        bias = np.zeros(kernel.shape[3], np.float32)
        return builder.convolution(
            x, kernel, bias, name, strides=strides, pads=pads, dilation=dilation
        )
    bias = np.zeros(kernel.shape[2] * kernel.shape[3], np.float32)
    return builder.emit(
        "depthwise",
        [x],
        tuple(primitive.outputs[0].shape),
        name=name,
        weights={"kernel": kernel, "bias": bias},
        strides=strides,
        pads=pads,
        dilation=dilation,
    )


@_lowers("Conv2DBackpropInput")
def _transposed(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    _reject_channels_first(primitive, name)
    kernel, x = _constant(inputs[1], name).astype(np.float32), _flowing(inputs[2], name)
    shape = tuple(primitive.outputs[0].shape)
    strides = tuple(primitive.get_attr("strides")[1:3])
    if tuple(primitive.get_attr("dilations")) != (1, 1, 1, 1):
        raise ExportError(f"'{name}' is transposed and dilated: export knows one or the other.")
    top, _, left, _ = _pads(shape, kernel.shape, strides, (1, 1), primitive)
    return builder.transposed_convolution(
        x,
        kernel,
        np.zeros(kernel.shape[2], np.float32),
        name,
        strides=strides,
        shape=shape,
        before=(top, left),
    )


@_lowers("MaxPool", "AvgPool", "MaxPoolV2")
def _pool(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    _reject_channels_first(primitive, name)
    x = _flowing(inputs[0], name)
    size, strides = (tuple(primitive.get_attr(key)[1:3]) for key in ("ksize", "strides"))
    pads = _pads(builder.shape(x), size, strides, (1, 1), primitive)
    op = "avg_pool" if primitive.type == "AvgPool" else "max_pool"
    shape = tuple(primitive.outputs[0].shape)
    return builder.emit(op, [x], shape, name=name, size=size, strides=strides, pads=pads)


@_lowers("MatMul", "BatchMatMulV2", "BatchMatMulV3", "BatchMatMul")
def _matmul(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    keys = ("transpose_a", "transpose_b") if primitive.type == "MatMul" else ("adj_x", "adj_y")
    a, b = (
        _turned(builder, x, name) if primitive.get_attr(key) else x
        for x, key in zip(inputs, keys, strict=True)
    )
    return product(builder, a, b, name)


@_lowers("Einsum")
def _einsum(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    return einsum(builder, _text(primitive, "equation"), inputs, name)


@_lowers("LRN")
def _lrn(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    x = _flowing(inputs[0], name)
    constants: dict[str, Any] = {
        "size": 2 * int(primitive.get_attr("depth_radius")) + 1,
        "alpha": float(primitive.get_attr("alpha")),
        "beta": float(primitive.get_attr("beta")),
        "k": float(primitive.get_attr("bias")),
    }
    return builder.emit("lrn", [x], builder.shape(x), name=name, **constants)


def _turned(builder: Builder, x: Tensor, name: str) -> Tensor:
    if not isinstance(x, str):
        return np.swapaxes(x, -1, -2)
    perm = [*range(len(builder.shape(x)))]
    return builder.transpose(x, [*perm[:-2], perm[-1], perm[-2]], f"{name}_turned")


def _pads(
    shape: Shape,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    primitive: Any,
) -> tuple[int, int, int, int]:
    padding = _text(primitive, "padding")
    if padding == "EXPLICIT":
        return tuple(primitive.get_attr("explicit_paddings")[2:6])
    if padding == "VALID":
        return (0, 0, 0, 0)
    rows, columns = (
        same_pads(shape[axis + 1], kernel[axis], strides[axis], dilation[axis]) for axis in (0, 1)
    )
    return (*rows, *columns)


def _reject_channels_first(primitive: Any, name: str) -> None:
    if _text(primitive, "data_format") == "NCHW":
        raise ExportError(f"'{name}' is channels-first: export takes NHWC.")
