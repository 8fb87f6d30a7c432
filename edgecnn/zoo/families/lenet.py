"""LeNet-5, the network of the text's Table 1.1."""

from typing import TYPE_CHECKING, Any

from edgecnn.preprocessing import Preprocessing
from edgecnn.zoo.naming import Padding
from edgecnn.zoo.registry import architecture

if TYPE_CHECKING:
    import keras


@architecture(
    family="LeNet",
    year=1998,
    paper="LeCun et al., Gradient-Based Learning Applied to Document Recognition, Proc. IEEE 86",
    preprocessing=Preprocessing(32, 32, 1, mean=(0.0,), std=(255.0,)),
    classes=10,
)
def lenet5(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    include_top: bool = True,
    padding: Padding = "same",  # noqa: ARG001
    classifier_activation: str | None = "softmax",
) -> "keras.Model":
    """C1 6@5×5, S2 average, C3 16@5×5, S4 average, C5 120@5×5, F6 84, tanh throughout.

    Every convolution is `valid`, so `padding` changes nothing.
    """
    import keras
    from keras import layers

    def convolution(filters: int, name: str) -> Any:
        return layers.Conv2D(filters, 5, activation="tanh", name=name)

    image = keras.Input(input_shape, name="image")
    x = convolution(6, "c1")(image)
    x = layers.AveragePooling2D(2, name="s2")(x)
    x = convolution(16, "c3")(x)
    x = layers.AveragePooling2D(2, name="s4")(x)
    x = convolution(120, "c5")(x)
    if not include_top:
        return keras.Model(image, x, name="lenet5")
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(84, activation="tanh", name="f6")(x)
    x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    return keras.Model(image, x, name="lenet5")
