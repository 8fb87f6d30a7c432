"""What the onnx package leaves to its user."""

from collections.abc import Sequence

from onnx import TensorProto, helper

from edgecnn.graph import Array, Shape

ACTIVATIONS = {
    "relu": "Relu",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "elu": "Elu",
    "hard_swish": "HardSwish",
}
"""Those that ONNX has an operator for, without attributes."""


def channels_first(shape: Shape) -> Shape:
    """NHWC to NCHW; other ranks stay."""
    return (shape[0], shape[3], shape[1], shape[2]) if len(shape) == 4 else shape


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
