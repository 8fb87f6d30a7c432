"""What the onnx package leaves to its user."""

from collections.abc import Sequence

from onnx import TensorProto, helper

from edgecnn.graph import Array, Shape

FUNCTIONS = {
    "relu": "Relu",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "elu": "Elu",
    "hard_swish": "HardSwish",
    "erf": "Erf",
    "softplus": "Softplus",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "abs": "Abs",
    "sign": "Sign",
    "floor": "Floor",
    "ceil": "Ceil",
    "round": "Round",
    "sin": "Sin",
    "cos": "Cos",
    "atan": "Atan",
}
"""Those that ONNX has an operator for, without attributes."""

BINARY = {
    "add": "Add",
    "subtract": "Sub",
    "multiply": "Mul",
    "divide": "Div",
    "maximum": "Max",
    "minimum": "Min",
    "power": "Pow",
}
COMPARISONS = {
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "less": "Less",
    "less_equal": "LessOrEqual",
    "equal": "Equal",
}
REDUCTIONS = {
    "mean": "ReduceMean",
    "sum": "ReduceSum",
    "max": "ReduceMax",
    "min": "ReduceMin",
    "prod": "ReduceProd",
}

NCHW = (0, 3, 1, 2)
"""Axes of NHWC in the order in which ONNX has those of a picture."""
NHWC = (0, 2, 3, 1)


def along(axis: int, rank: int) -> int:
    """Where an axis of a tensor stands in ONNX."""
    return NHWC[axis] if rank == 4 else axis


def laid_out(value: Array) -> Array:
    """A constant as ONNX has a tensor of its rank."""
    return value.transpose(NCHW) if value.ndim == 4 else value


def perm_between(perm: Sequence[int]) -> list[int]:
    """A transposition of axes, between tensors as ONNX has them."""
    if len(perm) != 4:
        return list(perm)
    return [NHWC[perm[axis]] for axis in NCHW]


def channels_first(shape: Shape) -> Shape:
    """NHWC to NCHW; other ranks stay."""
    return tuple(shape[axis] for axis in NCHW) if len(shape) == 4 else shape


def named_only(name: str, value: Array) -> TensorProto:
    """A constant whose values are elsewhere: the engine is given them by its name."""
    tensor = TensorProto(name=name, dims=value.shape)
    tensor.data_type = helper.np_dtype_to_tensor_dtype(value.dtype)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="in memory")
    return tensor


def onnx_pads(pads: Sequence[int]) -> list[int]:
    """(top, bottom, left, right) to ONNX's begins and ends."""
    top, bottom, left, right = pads
    return [top, left, bottom, right]
