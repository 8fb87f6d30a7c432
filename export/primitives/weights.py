"""Primitives with weights or windows: convolutions, pools, products."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgecnn.arithmetic import padding_columns
from edgecnn.errors import ExportError
from edgecnn.export.builder import Builder, Tensor
from edgecnn.export.einsum import einsum, product
from edgecnn.export.primitives.rule import constant_of, flowing, lowers, shape_of, text_of
from edgecnn.graph import Shape


@lowers("BiasAdd")
def _bias_add(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    _reject_channels_first(primitive, name)
    return builder.binary("add", inputs[0], inputs[1], name)


@lowers("FusedBatchNormV3", "FusedBatchNormV2", "FusedBatchNorm")
def _batch_norm(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    _reject_channels_first(primitive, name)
    gamma, beta, mean, variance = (constant_of(x, name).astype(np.float64) for x in inputs[1:5])
    scale = gamma / np.sqrt(variance + primitive.get_attr("epsilon"))
    return builder.affine(flowing(inputs[0], name), scale, beta - mean * scale, name)


@lowers("Conv2D", "DepthwiseConv2dNative")
def _convolution(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    _reject_channels_first(primitive, name)
    x, kernel = flowing(inputs[0], name), constant_of(inputs[1], name).astype(np.float32)
    strides, dilation = (tuple(primitive.get_attr(key)[1:3]) for key in ("strides", "dilations"))
    pads = _pads(builder.shape(x), kernel.shape, strides, dilation, primitive)
    if primitive.type == "Conv2D":
        bias = np.zeros(kernel.shape[3], np.float32)
        return builder.convolution(
            x, kernel, bias, name, strides=strides, pads=pads, dilation=dilation
        )
    bias = np.zeros(kernel.shape[2] * kernel.shape[3], np.float32)
    return builder.depthwise(x, kernel, bias, name, strides=strides, pads=pads, dilation=dilation)


@lowers("Dilated")
def _dilated(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    x = flowing(inputs[0], name)
    block, widths, kernel, crops = (constant_of(part, name) for part in inputs[1:])
    inner, shape = primitive.convolution, shape_of(primitive, name)
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


@lowers("ExtractImagePatches")
def _patches(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    """A convolution that hands on every pixel of its window."""
    x = flowing(inputs[0], name)
    size, strides, dilation = (
        tuple(primitive.get_attr(key)[1:3]) for key in ("ksizes", "strides", "rates")
    )
    channels = builder.shape(x)[3]
    count = size[0] * size[1] * channels
    kernel = np.eye(count, dtype=np.float32).reshape(*size, channels, count)
    pads = _pads(builder.shape(x), size, strides, dilation, primitive)
    bias = np.zeros(count, np.float32)
    return builder.convolution(x, kernel, bias, name, strides=strides, pads=pads, dilation=dilation)


@lowers("Conv2DBackpropInput")
def _transposed(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    _reject_channels_first(primitive, name)
    kernel, x = constant_of(inputs[1], name).astype(np.float32), flowing(inputs[2], name)
    shape = shape_of(primitive, name)
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


@lowers("MaxPool", "AvgPool", "MaxPoolV2")
def _pool(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    _reject_channels_first(primitive, name)
    x = flowing(inputs[0], name)
    size, strides = (tuple(primitive.get_attr(key)[1:3]) for key in ("ksize", "strides"))
    pads = _pads(builder.shape(x), size, strides, (1, 1), primitive)
    op = "avg_pool" if primitive.type == "AvgPool" else "max_pool"
    shape = shape_of(primitive, name)
    return builder.emit(op, [x], shape, name=name, size=size, strides=strides, pads=pads)


@lowers("MatMul", "BatchMatMulV2", "BatchMatMulV3", "BatchMatMul")
def _matmul(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    keys = ("transpose_a", "transpose_b") if primitive.type == "MatMul" else ("adj_x", "adj_y")
    a, b = (
        _turned(builder, x, name) if primitive.get_attr(key) else x
        for x, key in zip(inputs, keys, strict=True)
    )
    return product(builder, a, b, name)


@lowers("Einsum")
def _einsum(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    return einsum(builder, text_of(primitive, "equation"), inputs, name)


@lowers("LRN")
def _lrn(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    x = flowing(inputs[0], name)
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
    padding = text_of(primitive, "padding")
    if padding == "EXPLICIT":
        return tuple(primitive.get_attr("explicit_paddings")[2:6])
    if padding == "VALID":
        return (0, 0, 0, 0)
    rows, columns = (
        padding_columns(shape[axis + 1], kernel[axis], strides[axis], dilation[axis])
        for axis in (0, 1)
    )
    return (*rows, *columns)


def _reject_channels_first(primitive: Any, name: str) -> None:
    if text_of(primitive, "data_format") == "NCHW":
        raise ExportError(f"'{name}' is channels-first: export takes NHWC.")
