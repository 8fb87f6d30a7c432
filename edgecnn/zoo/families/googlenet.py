"""GoogLeNet (Szegedy et al., 2014): nine inception modules, with LRN, without BatchNorm."""

from typing import TYPE_CHECKING, Any, NamedTuple

from edgecnn.errors import EdgeCnnError
from edgecnn.preprocessing import Preprocessing
from edgecnn.zoo.families.alexnet import IMAGENET_MEAN
from edgecnn.zoo.naming import Padding
from edgecnn.zoo.registry import architecture

if TYPE_CHECKING:
    import keras


class Inception(NamedTuple):
    """Filters of a module: 1×1; 3×3 behind its 1×1; 5×5 behind its 1×1; 1×1 behind the pool."""

    name: str
    one: int
    reduce3: int
    three: int
    reduce5: int
    five: int
    pool: int


MODULES = (
    Inception("3a", 64, 96, 128, 16, 32, 32),
    Inception("3b", 128, 128, 192, 32, 96, 64),
    Inception("4a", 192, 96, 208, 16, 48, 64),
    Inception("4b", 160, 112, 224, 24, 64, 64),
    Inception("4c", 128, 128, 256, 24, 64, 64),
    Inception("4d", 112, 144, 288, 32, 64, 64),
    Inception("4e", 256, 160, 320, 32, 128, 128),
    Inception("5a", 256, 160, 320, 32, 128, 128),
    Inception("5b", 384, 192, 384, 48, 128, 128),
)
POOLED_AFTER = ("3b", "4e")
AUXILIARY_AFTER = ("4a", "4d")
AUXILIARY_SIDE = 80
AUXILIARY_LOSS_WEIGHT = 0.3
"""The paper's weight of each auxiliary head's loss in training."""


def _convolution(x: Any, filters: int, kernel: int, name: str, **options: Any) -> Any:
    from edgecnn.zoo.blocks import convolution

    return convolution(x, filters, kernel, name, bias=True, activation="relu", **options)


def _normalise(x: Any, name: str) -> Any:
    from edgecnn.layers import LocalResponseNormalization

    return LocalResponseNormalization(name=name)(x)


def _inception(x: Any, module: Inception) -> Any:
    from keras import layers

    name = f"inception{module.name}"
    one = _convolution(x, module.one, 1, f"{name}.1x1")
    three = _convolution(x, module.reduce3, 1, f"{name}.3x3_reduce")
    three = _convolution(three, module.three, 3, f"{name}.3x3")
    five = _convolution(x, module.reduce5, 1, f"{name}.5x5_reduce")
    five = _convolution(five, module.five, 5, f"{name}.5x5")
    pool = layers.MaxPooling2D(3, 1, padding="same", name=f"{name}.pool")(x)
    pool = _convolution(pool, module.pool, 1, f"{name}.pool_proj")
    return layers.Concatenate(name=f"{name}.concat")([one, three, five, pool])


def _auxiliary(x: Any, module: str, classes: int, activation: str | None) -> Any:
    from keras import layers

    name = f"auxiliary{module}"
    x = layers.AveragePooling2D(5, 3, name=f"{name}.pool")(x)
    x = _convolution(x, 128, 1, f"{name}.conv")
    x = layers.Flatten(name=f"{name}.flatten")(x)
    x = layers.Dense(1024, activation="relu", name=f"{name}.fc")(x)
    x = layers.Dropout(0.7, name=f"{name}.dropout")(x)
    return layers.Dense(classes, activation=activation, name=name)(x)


@architecture(
    family="Inception",
    year=2014,
    paper="arXiv:1409.4842",
    preprocessing=Preprocessing(224, 224, mean=IMAGENET_MEAN, std=(1.0,), crop_fraction=0.875),
)
def googlenet(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    include_top: bool = True,
    padding: Padding = "same",
    classifier_activation: str | None = "softmax",
    auxiliary_heads: bool = False,
) -> "keras.Model":
    """The paper's table 1.

    With `auxiliary_heads` the network has two more outputs, `auxiliary4a` and `auxiliary4d`, for
    training with a loss weight of 0.3 each; the first output, `predictions`, is what export
    keeps. They need a picture of at least 80×80, or `EdgeCnnError` is raised.
    """
    import keras
    from keras import layers

    from edgecnn.zoo.blocks import max_pool

    if auxiliary_heads and min(input_shape[:2]) < AUXILIARY_SIDE:
        raise EdgeCnnError(
            f"googlenet's auxiliary heads need pictures of at least {AUXILIARY_SIDE}×"
            f"{AUXILIARY_SIDE}, not {input_shape[0]}×{input_shape[1]}."
        )
    image = keras.Input(input_shape, name="image")
    x = _convolution(image, 64, 7, "conv1", stride=2, padding=padding)
    x = _normalise(max_pool(x, 3, 2, "pool1", padding=padding), "norm1")
    x = _convolution(x, 64, 1, "conv2_reduce")
    x = _normalise(_convolution(x, 192, 3, "conv2"), "norm2")
    x = max_pool(x, 3, 2, "pool2", padding=padding)
    outputs = []
    for module in MODULES:
        x = _inception(x, module)
        if auxiliary_heads and module.name in AUXILIARY_AFTER:
            outputs.append(_auxiliary(x, module.name, classes, classifier_activation))
        if module.name in POOLED_AFTER:
            x = max_pool(x, 3, 2, f"pool{module.name[0]}", padding=padding)
    if not include_top:
        return keras.Model(image, x, name="googlenet")
    x = layers.GlobalAveragePooling2D(name="avgpool")(x)
    x = layers.Dropout(0.4, name="dropout")(x)
    x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    return keras.Model(image, [x, *outputs] if outputs else x, name="googlenet")
