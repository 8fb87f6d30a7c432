"""Inception-v4 (Szegedy et al., 2016), the pure Inception without residual units.

Layers are named as in timm. Every strided layer is `valid`, so all padding rules are one.
"""

from typing import TYPE_CHECKING, Any

from edgecnn.preprocessing import Preprocessing
from edgecnn.zoo.naming import Naming, Padding
from edgecnn.zoo.registry import Pretrained, architecture

if TYPE_CHECKING:
    import keras

EPSILON = 1e-3


def _unit(
    x: Any,
    filters: int,
    kernel: int | tuple[int, int],
    name: str,
    *,
    stride: int = 1,
    padding: str = "same",
) -> Any:
    """Convolution, BatchNorm, ReLU."""
    from keras import layers

    x = layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding=padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}.conv",
    )(x)
    x = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}.bn")(x)
    return layers.ReLU(name=f"{name}.relu")(x)


def _chain(x: Any, name: str, *steps: tuple[int, int | tuple[int, int]]) -> Any:
    """Units one after the other, each `(filters, kernel)`."""
    for index, (filters, kernel) in enumerate(steps):
        x = _unit(x, filters, kernel, f"{name}.{index}")
    return x


def _halve(x: Any, filters: int, name: str) -> Any:
    return _unit(x, filters, 3, name, stride=2, padding="valid")


def _pool(x: Any, name: str) -> Any:
    from keras import layers

    return layers.MaxPooling2D(3, 2, name=f"{name}.maxpool")(x)


def _averaged(x: Any, filters: int, name: str) -> Any:
    from keras import layers

    x = layers.AveragePooling2D(3, 1, padding="same", name=f"{name}.0")(x)
    return _unit(x, filters, 1, f"{name}.1")


def _concat(name: str, *branches: Any) -> Any:
    from keras import layers

    return layers.Concatenate(name=f"{name}.concat")(list(branches))


def _stem(x: Any) -> Any:
    x = _halve(x, 32, "features.0")
    x = _unit(x, 32, 3, "features.1", padding="valid")
    x = _unit(x, 64, 3, "features.2")
    name = "features.3"
    x = _concat(name, _pool(x, name), _halve(x, 96, f"{name}.conv"))
    name = "features.4"
    short = _unit(x, 64, 1, f"{name}.branch0.0")
    short = _unit(short, 96, 3, f"{name}.branch0.1", padding="valid")
    long = _chain(x, f"{name}.branch1", (64, 1), (64, (1, 7)), (64, (7, 1)))
    long = _unit(long, 96, 3, f"{name}.branch1.3", padding="valid")
    x = _concat(name, short, long)
    name = "features.5"
    return _concat(name, _halve(x, 192, f"{name}.conv"), _pool(x, name))


def _inception_a(x: Any, name: str) -> Any:
    return _concat(
        name,
        _unit(x, 96, 1, f"{name}.branch0"),
        _chain(x, f"{name}.branch1", (64, 1), (96, 3)),
        _chain(x, f"{name}.branch2", (64, 1), (96, 3), (96, 3)),
        _averaged(x, 96, f"{name}.branch3"),
    )


def _reduction_a(x: Any, name: str) -> Any:
    long = _chain(x, f"{name}.branch1", (192, 1), (224, 3))
    return _concat(
        name,
        _halve(x, 384, f"{name}.branch0"),
        _halve(long, 256, f"{name}.branch1.2"),
        _pool(x, name),
    )


def _inception_b(x: Any, name: str) -> Any:
    row, column = (1, 7), (7, 1)
    return _concat(
        name,
        _unit(x, 384, 1, f"{name}.branch0"),
        _chain(x, f"{name}.branch1", (192, 1), (224, row), (256, column)),
        _chain(
            x, f"{name}.branch2", (192, 1), (192, column), (224, row), (224, column), (256, row)
        ),
        _averaged(x, 128, f"{name}.branch3"),
    )


def _reduction_b(x: Any, name: str) -> Any:
    short = _unit(x, 192, 1, f"{name}.branch0.0")
    long = _chain(x, f"{name}.branch1", (256, 1), (256, (1, 7)), (320, (7, 1)))
    return _concat(
        name,
        _halve(short, 192, f"{name}.branch0.1"),
        _halve(long, 320, f"{name}.branch1.3"),
        _pool(x, name),
    )


def _inception_c(x: Any, name: str) -> Any:
    row, column = (1, 3), (3, 1)
    one = _unit(x, 384, 1, f"{name}.branch1_0")
    two = _unit(x, 384, 1, f"{name}.branch2_0")
    two = _unit(two, 448, column, f"{name}.branch2_1")
    two = _unit(two, 512, row, f"{name}.branch2_2")
    return _concat(
        name,
        _unit(x, 256, 1, f"{name}.branch0"),
        _unit(one, 256, row, f"{name}.branch1_1a"),
        _unit(one, 256, column, f"{name}.branch1_1b"),
        _unit(two, 256, row, f"{name}.branch2_3a"),
        _unit(two, 256, column, f"{name}.branch2_3b"),
        _averaged(x, 256, f"{name}.branch3"),
    )


BODY = (
    *[_inception_a] * 4,
    _reduction_a,
    *[_inception_b] * 7,
    _reduction_b,
    *[_inception_c] * 3,
)


@architecture(
    family="Inception",
    year=2016,
    paper="arXiv:1602.07261",
    preprocessing=Preprocessing(299, 299, mean=(127.5,), std=(127.5,), crop_fraction=0.875),
    pretrained=Pretrained("hub", "timm/inception_v4.tf_in1k"),
    namings=(Naming("timm", mark=r"^features\.", padding=None),),
    top=("last_linear",),
    minimum_side=75,
)
def inception_v4(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    include_top: bool = True,
    padding: Padding = "same",  # noqa: ARG001
    classifier_activation: str | None = "softmax",
) -> "keras.Model":
    """Stem, 4 modules A, reduction, 7 modules B, reduction, 3 modules C."""
    import keras
    from keras import layers

    image = keras.Input(input_shape, name="image")
    x = _stem(image)
    for index, module in enumerate(BODY, 6):
        x = module(x, f"features.{index}")
    if not include_top:
        return keras.Model(image, x, name="inception_v4")
    x = layers.GlobalAveragePooling2D(name="global_pool")(x)
    x = layers.Dropout(0.2, name="head_drop")(x)
    x = layers.Dense(classes, activation=classifier_activation, name="last_linear")(x)
    return keras.Model(image, x, name="inception_v4")
