"""The text's arithmetic: sizes, padding, parameters and multiplications of a convolution.

Lengths are of one axis, in pixels. `same` pads with what is missing for an output of
⌈size / stride⌉; `valid` pads nothing.
"""

from collections.abc import Sequence
from math import prod
from typing import Literal

from edgecnn.errors import EdgeCnnError

Rule = Literal["same", "valid"]


def output_size(size: int, kernel: int, stride: int = 1, padding: Rule = "same") -> int:
    """Length of a convolution's or pool's output along one axis.

    `same`: ⌈size / stride⌉; `valid`: ⌊(size - kernel) / stride⌋ + 1, and 0 where the kernel is
    longer than the input. Raises `EdgeCnnError` for a length below 1.
    """
    _positive(size=size, kernel=kernel, stride=stride)
    if padding == "same":
        return -(-size // stride)
    return max(0, (size - kernel) // stride + 1)


def padding_columns(size: int, kernel: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """Columns of zeros that `same` adds before and after one axis.

    What the last window lacks, half on each side, the odd one at the end. A kernel reaches over
    `dilation` columns from one of its weights to the next. Raises `EdgeCnnError` for a length
    below 1.
    """
    reach = (kernel - 1) * dilation + 1
    missing = max(0, (output_size(size, reach, stride) - 1) * stride + reach - size)
    return missing // 2, missing - missing // 2


def convolution_parameters(
    kernel: Sequence[int], channels: int, filters: int, *, groups: int = 1, bias: bool = True
) -> int:
    """Trainable parameters of a convolution: (kernel · channels / groups + 1) · filters.

    `kernel` is `(height, width)`. Raises `EdgeCnnError` where `groups` does not divide both
    channels and filters.
    """
    _positive(height=kernel[0], width=kernel[1], channels=channels, filters=filters, groups=groups)
    if channels % groups or filters % groups:
        raise EdgeCnnError(
            f"{groups} groups do not divide {channels} channels and {filters} filters."
        )
    return (prod(kernel) * channels // groups + bias) * filters


def convolution_macs(
    size: Sequence[int],
    kernel: Sequence[int],
    channels: int,
    filters: int,
    *,
    stride: int = 1,
    padding: Rule = "same",
    groups: int = 1,
) -> int:
    """Multiply-accumulates of a convolution over a picture of `size`, `(height, width)`.

    Every output value takes kernel · channels / groups of them; padding counts as pixels, as
    engines compute it, and a bias does not.
    """
    weights = convolution_parameters(kernel, channels, filters, groups=groups, bias=False)
    positions = [
        output_size(length, reach, stride, padding)
        for length, reach in zip(size, kernel, strict=True)
    ]
    return weights * prod(positions)


def dense_parameters(inputs: int, units: int, *, bias: bool = True) -> int:
    """Trainable parameters of a dense layer: (inputs + 1) · units."""
    _positive(inputs=inputs, units=units)
    return (inputs + bias) * units


def dense_macs(inputs: int, units: int) -> int:
    """Multiply-accumulates of a dense layer: inputs · units."""
    _positive(inputs=inputs, units=units)
    return inputs * units


def activation_bytes(shape: Sequence[int], bits: int = 32) -> int:
    """Bytes of an array of values of `bits` each, whole bytes rounded up."""
    return -(-prod(shape) * bits // 8)


def _positive(**lengths: int) -> None:
    for name, length in lengths.items():
        if length < 1:
            raise EdgeCnnError(f"{name} must be at least 1, not {length}.")
