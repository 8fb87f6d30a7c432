"""Pieces that several families are made of."""

from typing import TYPE_CHECKING, Any

from edgecnn.zoo.naming import Padding

if TYPE_CHECKING:
    import keras

SYMMETRIC = ".symmetric"
"""What the name of a layer ends in that is there only because of the padding rule."""


def pad_symmetric(x: Any, kernel: int, name: str) -> Any:
    """Zero-pad both sides alike by half the kernel: the torch and Caffe rule."""
    from keras import layers

    return layers.ZeroPadding2D(kernel // 2, name=f"{name}{SYMMETRIC}")(x)


def convolution(
    x: Any,
    filters: int,
    kernel: int,
    name: str,
    *,
    stride: int = 1,
    groups: int = 1,
    padding: Padding = "same",
    bias: bool = False,
    activation: str | None = None,
) -> Any:
    """A convolution padded by the named rule.

    With stride 1 all rules are the same; a 1×1 kernel needs no padding under any.
    """
    from keras import layers

    rule = "same"
    if padding != "same" and stride > 1 and kernel > 1:
        x, rule = pad_symmetric(x, kernel, name), "valid"
    return layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        groups=groups,
        padding=rule,
        use_bias=bias,
        activation=activation,
        kernel_initializer="he_normal",
        name=name,
    )(x)


def depthwise_convolution(
    x: Any, kernel: int, name: str, *, stride: int = 1, padding: Padding = "same"
) -> Any:
    """A depthwise convolution padded by the named rule, without bias."""
    from keras import layers

    rule = "same"
    if padding != "same" and stride > 1:
        x, rule = pad_symmetric(x, kernel, name), "valid"
    return layers.DepthwiseConv2D(
        kernel,
        strides=stride,
        padding=rule,
        use_bias=False,
        depthwise_initializer="he_normal",
        name=name,
    )(x)


def max_pool(x: Any, size: int, stride: int, name: str, *, padding: Padding = "same") -> Any:
    """A max pool padded by the named rule. Its input must not be negative (after a ReLU)."""
    from keras import layers

    rule = "same"
    if padding == "symmetric":
        x, rule = pad_symmetric(x, size, name), "valid"
    elif padding == "caffe" and all((side - size) % stride == 0 for side in x.shape[1:3]):
        rule = "valid"  # else the last window hangs over the edge, as under `same`
    return layers.MaxPooling2D(size, stride, padding=rule, name=name)(x)


def max_pool_signed(x: Any, size: int, stride: int, name: str, *, padding: Padding = "same") -> Any:
    """A max pool padded by the named rule, whose input may be negative."""
    from keras import layers

    if padding != "symmetric":
        return max_pool(x, size, stride, name, padding=padding)
    # Zeros would win over negative values. A dense `same` pool of odd size never counts its
    # padding and is centred on each pixel: every `stride`-th of its results is what is asked.
    x = layers.MaxPooling2D(size, 1, padding="same", name=f"{name}{SYMMETRIC}")(x)
    return layers.MaxPooling2D(1, stride, name=name)(x)


def padding_of(model: "keras.Model") -> Padding:
    """The rule a network was built with. No saved model says it, but its layers show it.

    `same` where the network has no choice.
    """
    from keras import layers

    marked = {x.name for x in model.layers if x.name.endswith(SYMMETRIC)}
    if not marked:
        return "same"
    pools = [x.name for x in model.layers if isinstance(x, layers.MaxPooling2D)]
    return "symmetric" if not pools or any(f"{x}{SYMMETRIC}" in marked for x in pools) else "caffe"
