"""Residual networks (He et al., 2015).

The text's residual unit: two 3×3 convolutions with BatchNorm, ReLU after the first and after
the addition; where the unit halves the picture, the skip is a 1×1 convolution of stride 2.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgecnn.preprocessing import Preprocessing
from edgecnn.zoo.blocks import convolution, max_pool
from edgecnn.zoo.naming import TORCH, Padding
from edgecnn.zoo.registry import Figures, Pretrained, architecture

if TYPE_CHECKING:
    import keras

IMAGENET = Preprocessing(
    224, 224, 3, mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375), crop_fraction=0.875
)
"""torchvision's ImageNet mean and deviation, in pixel units."""

EPSILON = 1e-5


@dataclass(frozen=True)
class ResNet:
    """The fields by which residual networks differ."""

    name: str
    units: tuple[int, ...]
    filters: tuple[int, ...] = (64, 128, 256, 512)

    def unit(self, x: Any, filters: int, stride: int, name: str, padding: Padding) -> Any:
        """One residual unit."""
        from keras import layers

        def norm(x: Any, suffix: str) -> Any:
            return layers.BatchNormalization(epsilon=EPSILON, name=f"{name}.{suffix}")(x)

        skip = x
        if stride != 1 or x.shape[-1] != filters:
            skip = convolution(x, filters, 1, f"{name}.downsample.0", stride=stride)
            skip = norm(skip, "downsample.1")
        x = convolution(x, filters, 3, f"{name}.conv1", stride=stride, padding=padding)
        x = layers.ReLU(name=f"{name}.relu1")(norm(x, "bn1"))
        x = norm(convolution(x, filters, 3, f"{name}.conv2"), "bn2")
        return layers.ReLU(name=f"{name}.relu2")(layers.Add(name=f"{name}.add")([x, skip]))

    def build(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        include_top: bool = True,
        padding: Padding = "same",
        classifier_activation: str | None = "softmax",
    ) -> "keras.Model":
        """The whole network, as a functional model."""
        import keras
        from keras import layers

        image = keras.Input(input_shape, name="image")
        x = convolution(image, 64, 7, "conv1", stride=2, padding=padding)
        x = layers.BatchNormalization(epsilon=EPSILON, name="bn1")(x)
        x = layers.ReLU(name="relu1")(x)
        x = max_pool(x, 3, 2, "maxpool", padding=padding)
        for stage, (filters, count) in enumerate(zip(self.filters, self.units, strict=True), 1):
            for index in range(count):
                stride = 2 if index == 0 and stage > 1 else 1
                x = self.unit(x, filters, stride, f"layer{stage}.{index}", padding)
        if not include_top:
            return keras.Model(image, x, name=self.name)
        x = layers.GlobalAveragePooling2D(name="avgpool")(x)
        x = layers.Dense(classes, activation=classifier_activation, name="fc")(x)
        return keras.Model(image, x, name=self.name)


RESNET34 = ResNet("resnet34", units=(3, 4, 6, 3))


@architecture(
    family="ResNet",
    year=2015,
    paper="arXiv:1512.03385",
    preprocessing=IMAGENET,
    pretrained=Pretrained("hub", "timm/resnet34.tv_in1k"),
    namings=(TORCH,),
    top=("fc",),
    figures=Figures(21_814_696, 21_797_672, 3_663_761_408, 1_003_520, 4_014_080),
)
def resnet34(input_shape: tuple[int, int, int], classes: int, **options: Any) -> "keras.Model":
    """Residual units 64×3, 128×4, 256×6, 512×3."""
    return RESNET34.build(input_shape, classes, **options)
