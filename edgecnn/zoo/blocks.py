"""Pieces that several families are made of."""

from typing import Any, Literal

Padding = Literal["same", "symmetric"]


def pad_symmetric(x: Any, kernel: int, name: str) -> Any:
    """Zero-pad both sides alike by half the kernel: the torch and Caffe rule."""
    from keras import layers

    return layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)


def convolution(
    x: Any,
    filters: int,
    kernel: int,
    name: str,
    *,
    stride: int = 1,
    groups: int = 1,
    padding: str = "same",
    bias: bool = False,
) -> Any:
    """A convolution padded by the named rule.

    With stride 1 both rules are the same; a 1×1 kernel needs no padding under either.
    """
    from keras import layers

    rule = "same"
    if padding == "symmetric" and stride > 1 and kernel > 1:
        x, rule = pad_symmetric(x, kernel, name), "valid"
    return layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        groups=groups,
        padding=rule,
        use_bias=bias,
        kernel_initializer="he_normal",
        name=name,
    )(x)


def max_pool(x: Any, size: int, stride: int, name: str, *, padding: str = "same") -> Any:
    """A max pool padded by the named rule. Its input must not be negative (after a ReLU)."""
    from keras import layers

    if padding == "symmetric":
        x = pad_symmetric(x, size, name)
        return layers.MaxPooling2D(size, stride, name=name)(x)
    return layers.MaxPooling2D(size, stride, padding="same", name=name)(x)
