"""The text's own network for Fashion-MNIST."""

from typing import TYPE_CHECKING

from edgecnn.preprocessing import Preprocessing
from edgecnn.zoo.naming import Padding
from edgecnn.zoo.registry import architecture

if TYPE_CHECKING:
    import keras


@architecture(
    family="Fashion CNN",
    year=2019,
    paper="Géron, Hands-On Machine Learning with Scikit-Learn, Keras, and TensorFlow, CNN chapter",
    preprocessing=Preprocessing(28, 28, 1, mean=(0.0,), std=(255.0,)),
    classes=10,
    minimum_side=8,
)
def fashion_cnn(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    include_top: bool = True,
    padding: Padding = "same",  # noqa: ARG001
    classifier_activation: str | None = "softmax",
) -> "keras.Model":
    """64@7×7, pool, 128 128, pool, 256 256, pool, 128, dropout, 64, dropout, the classes.

    Nothing strides but the pools, which are not padded: `padding` changes nothing.
    """
    import keras
    from keras import layers

    from edgecnn.zoo.blocks import convolution

    image = x = keras.Input(input_shape, name="image")
    for stage, (filters, kernel, count) in enumerate(((64, 7, 1), (128, 3, 2), (256, 3, 2)), 1):
        for index in range(1, count + 1):
            name = f"conv{stage}_{index}"
            x = convolution(x, filters, kernel, name, bias=True, activation="relu")
        x = layers.MaxPooling2D(2, name=f"pool{stage}")(x)
    if not include_top:
        return keras.Model(image, x, name="fashion_cnn")
    x = layers.Flatten(name="flatten")(x)
    for units in (128, 64):
        x = layers.Dense(
            units, activation="relu", kernel_initializer="he_normal", name=f"dense{units}"
        )(x)
        x = layers.Dropout(0.5, name=f"dropout{units}")(x)
    x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    return keras.Model(image, x, name="fashion_cnn")
