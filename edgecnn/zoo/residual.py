"""The residual family's one builder; its variants are fields.

The text's residual unit: two 3×3 convolutions with BatchNorm, ReLU after the first and after
the addition; where the unit halves the picture, the skip is a 1×1 convolution of stride 2. The
bottleneck unit is 1×1, 3×3, 1×1 with the stride in the 3×3. Layers are named as in torchvision.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgecnn.preprocessing import Preprocessing
from edgecnn.zoo.blocks import convolution, max_pool, max_pool_signed
from edgecnn.zoo.naming import Padding

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
    """Residual units of each stage; stage n has 2ⁿ·64 filters."""
    bottleneck: bool = False
    expansion: int = 4
    """Output channels of a bottleneck per filter."""
    groups: int = 1
    """Groups of a bottleneck's 3×3 convolution (ResNeXt's cardinality)."""
    group_filters: int = 64
    """Filters of one such group in the first stage."""
    reduce_first: int = 1
    """By how much a bottleneck's first convolution has fewer filters than its second."""
    squeeze: int | None = None
    """Reduction of the squeeze-and-excitation gate; None: no gate."""
    deep_stem: bool = False
    """Three 3×3 convolutions in place of the 7×7."""
    skip_kernel: int = 1
    """Kernel of the strided skip."""
    cross_stage: bool = False
    """Half of each stage's channels go around its units (CSPNet)."""
    slope: float = 0.0
    """Slope of the ReLU below zero."""
    dropout: float = 0.0

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
        x = self._stem(image, padding)
        for stage, units in enumerate(self.units, 1):
            filters, name, stride = 32 * 2**stage, f"layer{stage}", 1 if stage == 1 else 2
            if self.cross_stage:
                x = self._cross_stage(x, filters, units, stride, name, padding)
            else:
                for index in range(units):
                    x = self._unit(x, filters, stride, f"{name}.{index}", padding)
                    stride = 1
        if not include_top:
            return keras.Model(image, x, name=self.name)
        x = layers.GlobalAveragePooling2D(name="avgpool")(x)
        if self.dropout:
            x = layers.Dropout(self.dropout, name="dropout")(x)
        x = layers.Dense(classes, activation=classifier_activation, name="fc")(x)
        return keras.Model(image, x, name=self.name)

    def _relu(self, x: Any, name: str) -> Any:
        from keras import layers

        if self.slope:
            return layers.LeakyReLU(negative_slope=self.slope, name=name)(x)
        return layers.ReLU(name=name)(x)

    def _norm_relu(self, x: Any, norm: str) -> Any:
        return self._relu(_norm(x, norm), norm.replace("bn", "relu"))

    def _stem(self, x: Any, padding: Padding) -> Any:
        if self.deep_stem:
            x = convolution(x, 64, 3, "conv1.0", stride=2, padding=padding)
            x = self._relu(_norm(x, "conv1.1"), "conv1.2")
            x = convolution(x, 64, 3, "conv1.3")
            x = self._relu(_norm(x, "conv1.4"), "conv1.5")
            x = convolution(x, 128, 3, "conv1.6")
        else:
            x = convolution(x, 64, 7, "conv1", stride=2, padding=padding)
        x = self._norm_relu(x, "bn1")
        pool = max_pool_signed if self.slope else max_pool
        return pool(x, 3, 2, "maxpool", padding=padding)

    def _unit(self, x: Any, filters: int, stride: int, name: str, padding: Padding) -> Any:
        from keras import layers

        skip = x
        outputs = filters * self.expansion if self.bottleneck else filters
        if stride != 1 or x.shape[-1] != outputs:
            kernel = self.skip_kernel if stride != 1 else 1
            skip = convolution(
                x, outputs, kernel, f"{name}.downsample.0", stride=stride, padding=padding
            )
            skip = _norm(skip, f"{name}.downsample.1")
        body = self._bottleneck if self.bottleneck else self._basic
        x = body(x, filters, stride, name, padding)
        if self.squeeze:
            x = _excite(x, self.squeeze, f"{name}.se")
        return self._relu(layers.Add(name=f"{name}.add")([x, skip]), f"{name}.relu")

    def _basic(self, x: Any, filters: int, stride: int, name: str, padding: Padding) -> Any:
        x = convolution(x, filters, 3, f"{name}.conv1", stride=stride, padding=padding)
        x = self._norm_relu(x, f"{name}.bn1")
        return _norm(convolution(x, filters, 3, f"{name}.conv2"), f"{name}.bn2")

    def _bottleneck(self, x: Any, filters: int, stride: int, name: str, padding: Padding) -> Any:
        width = filters * self.group_filters // 64 * self.groups
        x = convolution(x, width // self.reduce_first, 1, f"{name}.conv1")
        x = self._norm_relu(x, f"{name}.bn1")
        x = convolution(
            x, width, 3, f"{name}.conv2", stride=stride, groups=self.groups, padding=padding
        )
        x = self._norm_relu(x, f"{name}.bn2")
        x = convolution(x, filters * self.expansion, 1, f"{name}.conv3")
        return _norm(x, f"{name}.bn3")

    def _cross_stage(
        self, x: Any, filters: int, units: int, stride: int, name: str, padding: Padding
    ) -> Any:
        from keras import layers

        def unit(x: Any, filters: int, kernel: int, part: str, stride: int = 1) -> Any:
            x = convolution(
                x, filters, kernel, f"{name}.{part}.conv", stride=stride, padding=padding
            )
            return _norm(x, f"{name}.{part}.bn")

        if stride != 1:
            x = self._relu(unit(x, x.shape[-1], 3, "down", stride), f"{name}.down.relu")
        half = filters * self.expansion
        # The paper's one expansion, whose two halves then part ways, is two convolutions here.
        around = unit(x, half, 1, "expand.0")
        x = unit(x, half, 1, "expand.1")
        for index in range(units):
            x = self._unit(x, filters, 1, f"{name}.{index}", padding)
        x = self._relu(unit(x, half, 1, "transition_b"), f"{name}.transition_b.relu")
        x = layers.Concatenate(name=f"{name}.concat")([around, x])
        return self._relu(unit(x, half, 1, "transition"), f"{name}.transition.relu")


def _norm(x: Any, name: str) -> Any:
    from keras import layers

    return layers.BatchNormalization(epsilon=EPSILON, name=name)(x)


def _excite(x: Any, reduction: int, name: str) -> Any:
    """Squeeze and excitation: every channel weighted by a gate that sees all channels."""
    from keras import layers

    channels = x.shape[-1]
    gate = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}.squeeze")(x)
    gate = convolution(gate, channels // reduction, 1, f"{name}.fc1", bias=True)
    gate = layers.ReLU(name=f"{name}.relu")(gate)
    gate = convolution(gate, channels, 1, f"{name}.fc2", bias=True)
    gate = layers.Activation("sigmoid", name=f"{name}.gate")(gate)
    return layers.Multiply(name=f"{name}.excite")([x, gate])
