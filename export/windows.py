"""What a convolution sees."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from edgecnn.graph import Array, Operator


def windows(op: Operator, picture: Array) -> Array:
    """Every window of the operator on a picture (1, H, W, channels), zeros around it.

    (rows, columns, channels, kernel height, kernel width), without a copy of each.
    """
    kh, kw = op.weights["kernel"].shape[:2]
    top, bottom, left, right = op.attributes["pads"]
    (sh, sw), (dh, dw) = op.attributes["strides"], op.attributes["dilation"]
    padded = np.pad(picture[0], ((top, bottom), (left, right), (0, 0)))
    every = sliding_window_view(padded, ((kh - 1) * dh + 1, (kw - 1) * dw + 1), axis=(0, 1))
    return every[::sh, ::sw, :, ::dh, ::dw]
