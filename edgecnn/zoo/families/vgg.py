"""VGG (Simonyan and Zisserman, 2014): 3×3 convolutions all the way, with biases, no norm.

Layers are named by torchvision's positions in its two sequences.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgecnn.zoo.naming import Naming, Padding, substitute
from edgecnn.zoo.registry import Pretrained, architecture
from edgecnn.zoo.residual import IMAGENET

if TYPE_CHECKING:
    import keras

FILTERS = (64, 128, 256, 512, 512)


@dataclass(frozen=True)
class VGG:
    """The fields by which the VGG networks differ."""

    name: str
    convolutions: tuple[int, ...]
    """Convolutions of each of the five stages."""

    def build(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        include_top: bool = True,
        padding: Padding = "same",  # noqa: ARG002
        classifier_activation: str | None = "softmax",
    ) -> "keras.Model":
        """The whole network, as a functional model.

        Convolutions do not stride and pools are not padded: `padding` changes nothing.
        """
        import keras
        from keras import layers

        from edgecnn.zoo.blocks import convolution

        image = x = keras.Input(input_shape, name="image")
        position = 0
        for filters, count in zip(FILTERS, self.convolutions, strict=True):
            for _ in range(count):
                x = convolution(x, filters, 3, f"features.{position}", bias=True, activation="relu")
                position += 2  # torch counts the ReLU too
            x = layers.MaxPooling2D(2, name=f"features.{position}")(x)
            position += 1
        if not include_top:
            return keras.Model(image, x, name=self.name)
        x = layers.Flatten(name="flatten")(x)
        for position in (0, 3):
            x = layers.Dense(
                4096,
                activation="relu",
                kernel_initializer="he_normal",
                name=f"classifier.{position}",
            )(x)
            x = layers.Dropout(0.5, name=f"classifier.{position + 2}")(x)
        x = layers.Dense(classes, activation=classifier_activation, name="classifier.6")(x)
        return keras.Model(image, x, name=self.name)


VGG16 = VGG("vgg16", convolutions=(2, 2, 3, 3, 3))
VGG19 = replace(VGG16, name="vgg19", convolutions=(2, 2, 4, 4, 4))

TIMM = Naming(
    "timm",
    mark=r"^pre_logits\.",
    padding=None,
    rename=substitute(
        (r"^pre_logits\.fc1$", "classifier.0"),
        (r"^pre_logits\.fc2$", "classifier.3"),
        (r"^head\.fc$", "classifier.6"),
    ),
)
TORCHVISION = Naming("torchvision", mark=r"^features\.", padding=None)


def published(network: VGG) -> dict[str, Any]:
    """What these networks have in common in the registry."""
    return {
        "family": "VGG",
        "year": 2014,
        "paper": "arXiv:1409.1556",
        "preprocessing": IMAGENET,
        "pretrained": Pretrained("hub", f"timm/{network.name}.tv_in1k"),
        "namings": (TIMM, TORCHVISION),
        "top": ("classifier.",),
    }


@architecture(
    **published(VGG16),
)
def vgg16(input_shape: tuple[int, int, int], classes: int, **options: Any) -> "keras.Model":
    """Thirteen convolutions and three dense layers (configuration D)."""
    return VGG16.build(input_shape, classes, **options)


@architecture(
    **published(VGG19),
)
def vgg19(input_shape: tuple[int, int, int], classes: int, **options: Any) -> "keras.Model":
    """Sixteen convolutions and three dense layers (configuration E)."""
    return VGG19.build(input_shape, classes, **options)
