"""Primitives that resize pictures."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgecnn.export.builder import Builder, Tensor
from edgecnn.export.einsum import along
from edgecnn.export.primitives.rule import constant_of, flowing, lowers
from edgecnn.graph import Shape


@lowers("ResizeBilinear", "ResizeNearestNeighbor")
def _resize(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    rule: dict[str, Any] = {
        "half_pixel": bool(primitive.get_attr("half_pixel_centers")),
        "align_corners": bool(primitive.get_attr("align_corners")),
    }
    x = flowing(inputs[0], name)
    size = [int(n) for n in constant_of(inputs[1], name)]
    shape = (1, *size, builder.shape(x)[3])
    if primitive.type == "ResizeNearestNeighbor":
        return nearest(builder, x, shape, name, **rule)
    return builder.emit("resize", [x], shape, name=name, **rule)


@lowers("ResizeBicubic", "ResizeArea", "ScaleAndTranslate")
def _resample(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
    """Rows, then columns: what each takes of which others is a matrix."""
    import tensorflow as tf

    x = flowing(inputs[0], name)
    wanted, *parts = (constant_of(part, name) for part in inputs[1:])
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
