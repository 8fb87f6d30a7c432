"""Primitives that compute: functions of values, comparisons, sums."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgecnn.errors import ExportError
from edgecnn.export.builder import Builder, Tensor
from edgecnn.export.einsum import along
from edgecnn.export.primitives.rule import constant_of, flowing, lowers, shape_of
from edgecnn.graph import Array

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


@lowers(*BINARY)
def _binary(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    return builder.binary(BINARY[primitive.type], inputs[0], inputs[1], name)


@lowers("AddN")
def _add_n(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    total = inputs[0]
    for other in inputs[1:]:
        total = builder.binary("add", total, other, name)
    return total


@lowers("DivNoNan")
def _quotient(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    above, below = inputs
    if not isinstance(below, str):
        by = np.where(below == 0, 0, 1 / np.where(below == 0, 1, below))
        return builder.binary("multiply", above, by, name)
    nothing = builder.binary("compare", below, _number(0), f"{name}_nothing", kind="equal")
    divisor = builder.select(nothing, _number(1), below, f"{name}_divisor")
    quotient = builder.binary("divide", above, divisor, f"{name}_quotient")
    return builder.select(nothing, _number(0), quotient, name)


@lowers("SquaredDifference")
def _squared_difference(
    builder: Builder,
    primitive: Any,  # noqa: ARG001
    inputs: Sequence[Tensor],
    name: str,
) -> Tensor:
    difference = builder.binary("subtract", inputs[0], inputs[1], f"{name}_difference")
    return builder.activation("square", difference, name)


@lowers(*COMPARISONS)
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


@lowers("LogicalAnd", "LogicalOr", "LogicalNot")
def _logic(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    if primitive.type == "LogicalNot":
        return builder.affine(flowing(inputs[0], name), -1.0, 1.0, name)
    op = "minimum" if primitive.type == "LogicalAnd" else "maximum"
    return builder.binary(op, inputs[0], inputs[1], name)


@lowers("Any", "All")
def _quantifier(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    axes = np.atleast_1d(constant_of(inputs[1], name)).tolist()
    kind = "max" if primitive.type == "Any" else "min"
    keepdims = bool(primitive.get_attr("keep_dims"))
    return builder.reduce(kind, flowing(inputs[0], name), axes, keepdims, name)


@lowers("IsFinite", "IsInf", "IsNan")
def _kind_of_number(
    builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str
) -> Tensor:
    size = builder.activation("abs", flowing(inputs[0], name), f"{name}_size")
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


@lowers("SelectV2", "Select")
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


@lowers("Cast")
def _cast(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    """Truths and integers are held as real numbers, which up to 2^24 are exact."""
    before, after = primitive.inputs[0].dtype, primitive.outputs[0].dtype
    if before == after:
        return inputs[0]
    x = flowing(inputs[0], name)
    if after.is_bool:
        return _compared(builder, "not_equal", x, _number(0), name)
    if after.is_floating or not before.is_floating:
        return x
    # Towards zero.
    whole = builder.activation("floor", builder.activation("abs", x, f"{name}_size"), name)
    return builder.binary("multiply", builder.activation("sign", x, f"{name}_sign"), whole, name)


@lowers("FloorDiv", "FloorMod", "Mod", "TruncateMod")
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


@lowers("OneHot")
def _one_hot(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    depth, on, off = (constant_of(x, name) for x in inputs[1:4])
    shape = shape_of(primitive, name)
    axis = int(primitive.get_attr("axis")) % len(shape)
    one = [1 if i == axis else n for i, n in enumerate(shape)]
    x = builder.reshape(flowing(inputs[0], name), one, f"{name}_axes")
    places = np.arange(int(depth), dtype=np.float32)
    places = places.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    here = builder.binary("compare", x, places, f"{name}_here", kind="equal")
    return builder.select(here, _number(on), _number(off), name)


@lowers("ClipByValue")
def _clip(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    above = builder.binary("maximum", inputs[0], inputs[1], f"{name}_low")
    return builder.binary("minimum", above, inputs[2], name)


@lowers(*FUNCTIONS)
def _function(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    return builder.function(FUNCTIONS[primitive.type], flowing(inputs[0], name), name)


@lowers("Atan2")
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


@lowers("LeakyRelu")
def _leaky_relu(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    slope = float(primitive.get_attr("alpha"))
    return builder.function("leaky_relu", flowing(inputs[0], name), name, slope=slope)


@lowers("Softmax", "LogSoftmax")
def _softmax(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    kind = "softmax" if primitive.type == "Softmax" else "log_softmax"
    return builder.function(kind, flowing(inputs[0], name), name)


@lowers(*REDUCTIONS)
def _reduce(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    axes = np.atleast_1d(constant_of(inputs[1], name)).tolist()
    keepdims = bool(primitive.get_attr("keep_dims"))
    kind = REDUCTIONS[primitive.type]
    return builder.reduce(kind, flowing(inputs[0], name), axes, keepdims, name)


@lowers("EuclideanNorm")
def _norm(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    axes = np.atleast_1d(constant_of(inputs[1], name)).tolist()
    squares = builder.activation("square", flowing(inputs[0], name), f"{name}_square")
    keepdims = bool(primitive.get_attr("keep_dims"))
    return builder.activation(
        "sqrt", builder.reduce("sum", squares, axes, keepdims, f"{name}_sum"), name
    )


@lowers("Cumsum")
def _cumulative(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    x, axis = flowing(inputs[0], name), int(constant_of(inputs[1], name))
    n = builder.shape(x)[axis]
    matrix = np.tril(np.ones((n, n), np.float32), -int(primitive.get_attr("exclusive")))
    return along(builder, x, axis, matrix.T if primitive.get_attr("reverse") else matrix, name)


@lowers("MatrixBandPart")
def _band(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    x = flowing(inputs[0], name)
    below, above = (int(constant_of(part, name)) for part in inputs[1:])
    rows, columns = np.indices(builder.shape(x)[-2:])
    kept = ((below < 0) | (rows - columns <= below)) & ((above < 0) | (columns - rows <= above))
    return builder.binary("multiply", x, kept.astype(np.float32), name)
