"""Primitives that only move values, or leave some out."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgecnn.export.builder import Builder, Tensor
from edgecnn.export.primitives.rule import constant_of, flowing, lowers, shape_of, text_of


@lowers("Reshape", "Squeeze", "ExpandDims")
def _reshape(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    return builder.reshape(flowing(inputs[0], name), shape_of(primitive, name), name)


@lowers("Transpose")
def _transpose(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    return builder.transpose(flowing(inputs[0], name), constant_of(inputs[1], name).tolist(), name)


@lowers("StridedSlice")
def _strided_slice(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    x = flowing(inputs[0], name)
    begin, end, strides = (constant_of(part, name).tolist() for part in inputs[1:])
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
    return builder.reshape(x, shape_of(primitive, name), f"{name}_axes")


@lowers("Slice")
def _slice(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    x = flowing(inputs[0], name)
    begin, size = (constant_of(part, name).tolist() for part in inputs[1:])
    end = [
        whole if n == -1 else first + n
        for first, n, whole in zip(begin, size, builder.shape(x), strict=True)
    ]
    return builder.slice(x, begin, end, [1] * len(end), name)


@lowers("Split", "SplitV")
def _split(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> list[Tensor]:
    along, source = (inputs[0], inputs[1]) if primitive.type == "Split" else (inputs[2], inputs[0])
    axis, x = int(constant_of(along, name)), flowing(source, name)
    shape, begin, parts = builder.shape(x), 0, []
    for i, result in enumerate(primitive.outputs):
        length = int(result.shape[axis])
        first, last = [0] * len(shape), list(shape)
        first[axis % len(shape)], last[axis % len(shape)] = begin, begin + length
        parts.append(builder.slice(x, first, last, [1] * len(shape), f"{name}_{i}"))
        begin += length
    return list(parts)


@lowers("Unpack")
def _unpack(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> list[Tensor]:
    x = flowing(inputs[0], name)
    axis = primitive.get_attr("axis")
    parts = [builder.gather(x, axis, [i], f"{name}_{i}") for i in range(len(primitive.outputs))]
    return [
        builder.reshape(part, tuple(result.shape), f"{name}_axes")
        for part, result in zip(parts, primitive.outputs, strict=True)
    ]


@lowers("Pack")
def _pack(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    shape = list(shape_of(primitive, name))
    axis = primitive.get_attr("axis") % len(shape)
    shape[axis] = 1
    parts = [
        builder.reshape(part, shape, f"{name}_part")
        if isinstance(part, str)
        else part.reshape(shape)
        for part in inputs
    ]
    return builder.concat(parts, axis, name)


@lowers("ConcatV2")
def _concat(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    return builder.concat(list(inputs[:-1]), int(constant_of(inputs[-1], name)), name)


@lowers("Pad", "PadV2")
def _pad(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    value = float(constant_of(inputs[2], name)) if len(inputs) > 2 else 0.0
    widths = [tuple(width) for width in constant_of(inputs[1], name).tolist()]
    return builder.pad(flowing(inputs[0], name), widths, name, value)


@lowers("MirrorPad")
def _mirror_pad(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    mode: Any = text_of(primitive, "mode").lower()
    x = flowing(inputs[0], name)
    for axis, width in enumerate(constant_of(inputs[1], name).tolist()):
        places = np.pad(np.arange(builder.shape(x)[axis]), width, mode=mode)
        x = builder.gather(x, axis, places.tolist(), f"{name}_{axis}")
    return x


@lowers("Tile")
def _tile(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    x = flowing(inputs[0], name)
    for axis, times in enumerate(constant_of(inputs[1], name).tolist()):
        x = builder.gather(x, axis, [*range(builder.shape(x)[axis])] * times, f"{name}_{axis}")
    return x


@lowers("BroadcastTo")
def _broadcast(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    return builder.stretched(flowing(inputs[0], name), shape_of(primitive, name), name)


@lowers("ZerosLike", "OnesLike")
def _constant_like(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    value = 0.0 if primitive.type == "ZerosLike" else 1.0
    return np.full(builder.shape(inputs[0]), value, np.float32)


@lowers("ReverseV2")
def _reverse(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    x = flowing(inputs[0], name)
    for axis in np.atleast_1d(constant_of(inputs[1], name)).tolist():
        places = range(builder.shape(x)[axis])[::-1]
        x = builder.gather(x, axis, list(places), f"{name}_{axis}")
    return x


@lowers("Roll")
def _roll(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:  # noqa: ARG001
    x = flowing(inputs[0], name)
    shifts, axes = (np.atleast_1d(constant_of(part, name)).tolist() for part in inputs[1:])
    for shift, axis in zip(shifts, axes, strict=True):
        places = np.roll(np.arange(builder.shape(x)[axis]), shift)
        x = builder.gather(x, axis, places.tolist(), f"{name}_{axis}")
    return x


@lowers("GatherV2")
def _gather(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    indices = constant_of(inputs[1], name)
    axis = int(constant_of(inputs[2], name))
    x = builder.gather(flowing(inputs[0], name), axis, indices.reshape(-1).tolist(), name)
    return builder.reshape(x, shape_of(primitive, name), f"{name}_axes")


@lowers("DepthToSpace", "SpaceToDepth")
def _blocks(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    op = "depth_to_space" if primitive.type == "DepthToSpace" else "space_to_depth"
    shape = shape_of(primitive, name)
    size = int(primitive.get_attr("block_size"))
    return builder.emit(op, [flowing(inputs[0], name)], shape, name=name, size=size)
