"""TensorFlow's primitives as operators of a `Graph`: what opened layers are made of.

A rule takes the builder, the primitive, and its inputs, each the name of a tensor or a constant.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgecnn.errors import ExportError
from edgecnn.export.builder import Builder, Tensor
from edgecnn.export.einsum import along, einsum, product
from edgecnn.export.opening import CALLS, CHOICES, Opened, opened, opened_function
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
    "Tan": "tan",
    "Sinh": "sinh",
    "Cosh": "cosh",
    "Asin": "asin",
    "Acos": "acos",
    "Atan": "atan",
    "Asinh": "asinh",
    "Acosh": "acosh",
    "Atanh": "atanh",
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
    builder: Builder,
    call: Callable[..., Any],
    inputs: Sequence[str],
    name: str,
    what: str,
    types: Sequence[str] | None = None,
) -> list[str]:
    """Trace a call and lower what it is made of; the names of its results.

    `types` are those of the inputs for TensorFlow, float32 unless given; `what` says in errors
    what was called. Raises `ExportError` for a primitive without a rule.
    """
    types = types or ["float32"] * len(inputs)
    found = opened(call, [builder.shape(x) for x in inputs], types, what)
    outputs = _lower_primitives(builder, found, inputs, name, what)
    if any(not isinstance(output, str) for output in outputs):
        raise ExportError(f"{what} gives the same for every picture: leave it out.")
    return [output for output in outputs if isinstance(output, str)]


def _lower_primitives(
    builder: Builder, found: Opened, inputs: Sequence[Tensor], name: str, what: str
) -> list[Tensor]:
    values: dict[str, Tensor] = dict(zip(found.inputs, inputs, strict=True))
    values |= found.constants
    for primitive in found.primitives:
        arguments = [values[tensor.name] for tensor in primitive.inputs]
        step = f"{name}.{primitive.name.rpartition('/')[2]}"
        if primitive.type in SAME:
            results: Tensor | list[Tensor] = arguments
        elif primitive.type in CALLS | CHOICES:
            shapes = [builder.shape(x) for x in arguments]
            inner, given = opened_function(primitive, arguments, shapes, what)
            results = _lower_primitives(builder, inner, given, step, what)
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
    return [values[output] for output in found.outputs]


def known_primitives() -> list[str]:
    """TensorFlow's names of the primitives that opened layers may be made of."""
    return sorted({*_RULES, *SAME})


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


def _shape(primitive: Any, name: str, output: int = 0) -> Shape:
    shape = primitive.outputs[output].shape
    if not shape.is_fully_defined():
        raise ExportError(f"'{name}' gives a shape that depends on what flows: not supported.")
    return tuple(int(n) for n in shape)


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
    above, below = inputs
    if not isinstance(below, str):
        by = np.where(below == 0, 0, 1 / np.where(below == 0, 1, below))
        return builder.binary("multiply", above, by, name)
    nothing = builder.binary("compare", below, _number(0), f"{name}_nothing", kind="equal")
    divisor = builder.select(nothing, _number(1), below, f"{name}_divisor")
    quotient = builder.binary("divide", above, divisor, f"{name}_quotient")
    return builder.select(nothing, _number(0), quotient, name)


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
    return _compared(builder, COMPARISONS[primitive.type], inputs[0], inputs[1], name)


def _compared(builder: Builder, kind: str, a: Tensor, b: Tensor, name: str) -> str:
    """1 where it holds and 0 where not: as numbers, truths can be moved and combined."""
    holds = builder.binary("compare", a, b, f"{name}_holds", kind=kind)
    return builder.select(holds, _number(1), _number(0), name)


def _condition(builder: Builder, x: str, name: str) -> str:
    """The comparison that made a truth, or one that asks for it."""
    op = builder[x]
    if op.op == "select" and len(op.inputs) == 1:
        then, other = op.weights["then"], op.weights["other"]
        if then.size == other.size == 1 and then.item() == 1 and other.item() == 0:
            return op.inputs[0]
    return builder.binary("compare", x, _number(0.5), f"{name}_holds", kind="greater")


@_lowers("LogicalAnd", "LogicalOr", "LogicalNot")
def _logic(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    if primitive.type == "LogicalNot":
        return builder.affine(_flowing(inputs[0], name), -1.0, 1.0, name)
    op = "minimum" if primitive.type == "LogicalAnd" else "maximum"
    return builder.binary(op, inputs[0], inputs[1], name)


@_lowers("Any", "All")
def _quantifier(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    axes = np.atleast_1d(_constant(inputs[1], name)).tolist()
    kind = "max" if primitive.type == "Any" else "min"
    keepdims = bool(primitive.get_attr("keep_dims"))
    return builder.reduce(kind, _flowing(inputs[0], name), axes, keepdims, name)


@_lowers("IsFinite", "IsInf", "IsNan")
def _kind_of_number(
    builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str
) -> Tensor:
    size = builder.activation("abs", _flowing(inputs[0], name), f"{name}_size")
    largest = _number(np.finfo(np.float32).max)
    if primitive.type == "IsInf":
        return _compared(builder, "greater", size, largest, name)
    if primitive.type == "IsFinite":
        return _compared(builder, "less_equal", size, largest, name)
    # Of NaN no comparison holds.
    number = _compared(builder, "greater_equal", size, _number(0), f"{name}_not")
    return builder.affine(number, -1.0, 1.0, name)


def _number(value: Any) -> Array:
    return np.asarray(value, np.float32)


@_lowers("SelectV2", "Select")
def _select(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    condition, then, other = inputs
    if isinstance(condition, str):
        return builder.select(_condition(builder, condition, name), then, other, name)
    shape = np.broadcast_shapes(*(builder.shape(x) for x in inputs))
    terms = []
    for part, mask in ((then, condition), (other, ~condition)):
        if isinstance(part, str):
            part = builder.binary("multiply", part, mask.astype(np.float32), f"{name}_part")  # noqa: PLW2901
        else:
            part = np.where(mask, part, 0)  # noqa: PLW2901
        terms.append(part)
    found = builder.binary("add", terms[0], terms[1], name)
    return found if builder.shape(found) == shape else builder.stretched(found, shape, name)


@_lowers("Cast")
def _cast(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    """Truths and integers are held as real numbers, which up to 2^24 are exact."""
    before, after = primitive.inputs[0].dtype, primitive.outputs[0].dtype
    if before == after:
        return inputs[0]
    x = _flowing(inputs[0], name)
    if after.is_bool:
        return _compared(builder, "not_equal", x, _number(0), name)
    if after.is_floating or not before.is_floating:
        return x
    # Towards zero.
    whole = builder.activation("floor", builder.activation("abs", x, f"{name}_size"), name)
    return builder.binary("multiply", builder.activation("sign", x, f"{name}_sign"), whole, name)


@_lowers("FloorDiv", "FloorMod", "Mod", "TruncateMod")
def _whole_quotient(
    builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str
) -> Tensor:
    if primitive.type in ("Mod", "TruncateMod"):
        raise ExportError(f"'{name}' takes a remainder towards zero: use one towards -∞.")
    a, b = inputs
    quotient = builder.binary("divide", a, b, f"{name}_quotient")
    whole = builder.activation("floor", quotient, f"{name}_whole")
    if primitive.type == "FloorDiv":
        return whole
    return builder.binary(
        "subtract", a, builder.binary("multiply", whole, b, f"{name}_multiple"), name
    )


@_lowers("OneHot")
def _one_hot(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    depth, on, off = (_constant(x, name) for x in inputs[1:4])
    shape = _shape(primitive, name)
    axis = int(primitive.get_attr("axis")) % len(shape)
    one = [1 if i == axis else n for i, n in enumerate(shape)]
    x = builder.reshape(_flowing(inputs[0], name), one, f"{name}_axes")
    places = np.arange(int(depth), dtype=np.float32)
    places = places.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    here = builder.binary("compare", x, places, f"{name}_here", kind="equal")
    return builder.select(here, _number(on), _number(off), name)


@_lowers("ClipByValue")
def _clip(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    above = builder.binary("maximum", inputs[0], inputs[1], f"{name}_low")
    return builder.binary("minimum", above, inputs[2], name)


@_lowers(*FUNCTIONS)
def _function(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    return builder.function(FUNCTIONS[primitive.type], _flowing(inputs[0], name), name)


@_lowers("Atan2")
def _angle(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    y, x = inputs
    ratio = builder.binary("divide", y, x, f"{name}_ratio")
    half = builder.activation("atan", ratio, f"{name}_half")
    # Left of the vertical axis the angle is half a turn further.
    up = builder.binary("compare", y, _number(0), f"{name}_up", kind="greater_equal")
    turn = builder.select(up, _number(np.pi), _number(-np.pi), f"{name}_turn")
    left = builder.binary("compare", x, _number(0), f"{name}_left", kind="less")
    more = builder.select(left, turn, _number(0), f"{name}_more")
    return builder.binary("add", half, more, name)


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
    return builder.reshape(_flowing(inputs[0], name), _shape(primitive, name), name)


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
    return builder.reshape(x, _shape(primitive, name), f"{name}_axes")


@_lowers("Slice")
def _slice(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    x = _flowing(inputs[0], name)
    begin, size = (_constant(part, name).tolist() for part in inputs[1:])
    end = [
        whole if n == -1 else first + n
        for first, n, whole in zip(begin, size, builder.shape(x), strict=True)
    ]
    return builder.slice(x, begin, end, [1] * len(end), name)


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
    shape = list(_shape(primitive, name))
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
    return builder.stretched(_flowing(inputs[0], name), _shape(primitive, name), name)


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
    return builder.reshape(x, _shape(primitive, name), f"{name}_axes")


@_lowers("DepthToSpace", "SpaceToDepth")
def _blocks(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    op = "depth_to_space" if primitive.type == "DepthToSpace" else "space_to_depth"
    shape = _shape(primitive, name)
    size = int(primitive.get_attr("block_size"))
    return builder.emit(op, [_flowing(inputs[0], name)], shape, name=name, size=size)


@_lowers("ResizeBilinear", "ResizeNearestNeighbor")
def _resize(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    rule: dict[str, Any] = {
        "half_pixel": bool(primitive.get_attr("half_pixel_centers")),
        "align_corners": bool(primitive.get_attr("align_corners")),
    }
    x = _flowing(inputs[0], name)
    size = [int(n) for n in _constant(inputs[1], name)]
    shape = (1, *size, builder.shape(x)[3])
    if primitive.type == "ResizeNearestNeighbor":
        return nearest(builder, x, shape, name, **rule)
    return builder.emit("resize", [x], shape, name=name, **rule)


@_lowers("ResizeBicubic", "ResizeArea", "ScaleAndTranslate")
def _resample(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    """Rows, then columns: what each takes of which others is a matrix."""
    import tensorflow as tf

    x = _flowing(inputs[0], name)
    wanted, *parts = (_constant(part, name) for part in inputs[1:])
    options = {
        key: primitive.get_attr(key)
        for key in ("align_corners", "half_pixel_centers", "kernel_type", "antialias")
        if key in primitive.node_def.attr
    }
    operator = getattr(tf.raw_ops, primitive.type)
    for axis in (0, 1):
        have, size = builder.shape(x)[axis + 1], [int(wanted[axis]), 1]
        scales = [
            [float(part[axis]), other] for part, other in zip(parts, (1.0, 0.0), strict=False)
        ]
        if scales:
            options |= dict(zip(("scale", "translation"), scales, strict=True))
        # Each row alone, in a channel of its own, shows where it goes.
        alone = np.eye(have, dtype=np.float32)[None, :, None]
        found = operator(images=alone, size=size, **options)
        x = along(builder, x, axis + 1, np.asarray(found)[0, :, 0], f"{name}_{axis}")
    return x


@_lowers("Cumsum")
def _cumulative(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    x, axis = _flowing(inputs[0], name), int(_constant(inputs[1], name))
    n = builder.shape(x)[axis]
    matrix = np.tril(np.ones((n, n), np.float32), -int(primitive.get_attr("exclusive")))
    return along(builder, x, axis, matrix.T if primitive.get_attr("reverse") else matrix, name)


@_lowers("MatrixBandPart")
def _band(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    x = _flowing(inputs[0], name)
    below, above = (int(_constant(part, name)) for part in inputs[1:])
    rows, columns = np.indices(builder.shape(x)[-2:])
    kept = ((below < 0) | (rows - columns <= below)) & ((above < 0) | (columns - rows <= above))
    return builder.binary("multiply", x, kept.astype(np.float32), name)


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
    return builder.depthwise(x, kernel, bias, name, strides=strides, pads=pads, dilation=dilation)


@_lowers("Dilated")
def _dilated(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    x = _flowing(inputs[0], name)
    block, widths, kernel, crops = (_constant(part, name) for part in inputs[1:])
    inner, shape = primitive.convolution, _shape(primitive, name)
    _reject_channels_first(inner, name)
    around = [(0, 0), *((int(before), int(after)) for before, after in widths), (0, 0)]
    x = builder.pad(x, around, f"{name}_pad")
    dilation = (1, int(block[0])) if len(block) == 1 else (int(block[0]), int(block[1]))
    if len(block) == 1:  # along a line: a picture of one row
        x = builder.reshape(x, (1, *builder.shape(x)), f"{name}_row")
    emit, outputs = builder.convolution, kernel.shape[3]
    if inner.type.startswith("Depthwise"):
        emit, outputs = builder.depthwise, kernel.shape[2] * kernel.shape[3]
    bias = np.zeros(outputs, np.float32)
    x = emit(x, kernel.astype(np.float32), bias, name, dilation=dilation)
    if len(block) == 1:
        x = builder.reshape(x, builder.shape(x)[1:], f"{name}_line")
    first = [0, *(int(crop) for crop in crops[:, 0]), 0]
    last = [start + n for start, n in zip(first, shape, strict=True)]
    return builder.slice(x, first, last, [1] * len(shape), f"{name}_cut")


@_lowers("ExtractImagePatches")
def _patches(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    """A convolution that hands on every pixel of its window."""
    x = _flowing(inputs[0], name)
    size, strides, dilation = (
        tuple(primitive.get_attr(key)[1:3]) for key in ("ksizes", "strides", "rates")
    )
    channels = builder.shape(x)[3]
    count = size[0] * size[1] * channels
    kernel = np.eye(count, dtype=np.float32).reshape(*size, channels, count)
    pads = _pads(builder.shape(x), size, strides, dilation, primitive)
    bias = np.zeros(count, np.float32)
    return builder.convolution(x, kernel, bias, name, strides=strides, pads=pads, dilation=dilation)


@_lowers("Conv2DBackpropInput")
def _transposed(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    _reject_channels_first(primitive, name)
    kernel, x = _constant(inputs[1], name).astype(np.float32), _flowing(inputs[2], name)
    shape = _shape(primitive, name)
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
    shape = _shape(primitive, name)
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
