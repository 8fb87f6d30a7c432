"""AlexNet (2012) and ZFNet (2013), which is AlexNet with other hyperparameters.

One tower, as in the text: the paper's two towers were two graphics cards.
"""

from typing import TYPE_CHECKING, Any

from edgecnn.preprocessing import Preprocessing
from edgecnn.zoo.naming import Padding
from edgecnn.zoo.registry import architecture

if TYPE_CHECKING:
    import keras

# The papers subtract the mean picture and scale nothing.
IMAGENET_MEAN = (123.675, 116.28, 103.53)


def _normalise(x: Any, name: str) -> Any:
    from edgecnn.layers import LocalResponseNormalization

    return LocalResponseNormalization(size=5, alpha=1e-4, beta=0.75, k=2.0, name=name)(x)


def _convolution(x: Any, filters: int, kernel: int, name: str, **options: Any) -> Any:
    from keras import layers

    return layers.Conv2D(
        filters,
        kernel,
        activation="relu",
        kernel_initializer="he_normal",
        name=name,
        **{"padding": "same", **options},
    )(x)


def _rest(
    x: Any, image: Any, name: str, classes: int, include_top: bool, activation: str | None
) -> "keras.Model":
    """C5 to the classifier, which both networks share: 384 384 256, 4096 4096."""
    import keras
    from keras import layers

    x = _convolution(x, 384, 3, "c5")
    x = _convolution(x, 384, 3, "c6")
    x = _convolution(x, 256, 3, "c7")
    x = layers.MaxPooling2D(3, 2, name="s8")(x)
    if include_top:
        x = layers.Flatten(name="flatten")(x)
        for number in (9, 10):
            x = layers.Dense(
                4096, activation="relu", kernel_initializer="he_normal", name=f"f{number}"
            )(x)
            x = layers.Dropout(0.5, name=f"dropout{number}")(x)
        x = layers.Dense(classes, activation=activation, name="predictions")(x)
    return keras.Model(image, x, name=name)


@architecture(
    family="AlexNet",
    year=2012,
    paper="Krizhevsky, Sutskever, Hinton, ImageNet Classification with Deep CNNs, NIPS 2012",
    preprocessing=Preprocessing(227, 227, mean=IMAGENET_MEAN, std=(1.0,), crop_fraction=0.887),
    minimum_side=67,
)
def alexnet(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    include_top: bool = True,
    padding: Padding = "same",  # noqa: ARG001
    classifier_activation: str | None = "softmax",
) -> "keras.Model":
    """96@11×11/4, LRN, pool, 256@5×5, LRN, pool, 384 384 256, pool, 4096 4096.

    Where it strides it is `valid`, elsewhere all rules are one: `padding` changes nothing.
    """
    import keras
    from keras import layers

    image = keras.Input(input_shape, name="image")
    x = _convolution(image, 96, 11, "c1", strides=4, padding="valid")
    x = layers.MaxPooling2D(3, 2, name="s2")(_normalise(x, "n1"))
    x = _convolution(x, 256, 5, "c3")
    x = layers.MaxPooling2D(3, 2, name="s4")(_normalise(x, "n3"))
    return _rest(x, image, "alexnet", classes, include_top, classifier_activation)


@architecture(
    family="AlexNet",
    year=2013,
    paper="arXiv:1311.2901",
    preprocessing=Preprocessing(224, 224, mean=IMAGENET_MEAN, std=(1.0,), crop_fraction=0.875),
    minimum_side=55,
)
def zfnet(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    include_top: bool = True,
    padding: Padding = "same",
    classifier_activation: str | None = "softmax",
) -> "keras.Model":
    """96@7×7/2, pool, LRN, 256@5×5/2, pool, LRN, 384 384 256, pool, 4096 4096.

    The paper's figure 3 has maps of 110, 55, 26, 13 and 6 at 224×224: the first convolution is
    padded by one, the first two pools by the named rule, the rest not. Its contrast
    normalisation is across channels here, as in AlexNet.
    """
    import keras
    from keras import layers

    from edgecnn.zoo.blocks import max_pool

    image = keras.Input(input_shape, name="image")
    x = layers.ZeroPadding2D(1, name="c1_pad")(image)
    x = _convolution(x, 96, 7, "c1", strides=2, padding="valid")
    x = _normalise(max_pool(x, 3, 2, "s2", padding=padding), "n2")
    x = _convolution(x, 256, 5, "c3", strides=2, padding="valid")
    x = _normalise(max_pool(x, 3, 2, "s4", padding=padding), "n4")
    return _rest(x, image, "zfnet", classes, include_top, classifier_activation)
