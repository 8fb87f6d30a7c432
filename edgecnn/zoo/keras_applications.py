"""The networks that `keras.applications` builds, made to behave like the others.

What is added to Keras's function: our name, layer names that are the same in every build (Keras
numbers unnamed layers through the process), a preprocessing outside the graph, one error type.
EfficientNet-B is the exception: Keras puts its normalisation in the graph and offers no other
way, so that its preprocessing here is raw pixels.
"""

import re
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edgecnn.errors import EdgeCnnError
from edgecnn.preprocessing import Preprocessing
from edgecnn.zoo.naming import Padding
from edgecnn.zoo.registry import Figures, Pretrained, architecture
from edgecnn.zoo.residual import IMAGENET

if TYPE_CHECKING:
    import keras

Builder = Callable[..., "keras.Model"]


def _scaled(side: int) -> Preprocessing:
    """Pixels to -1 … 1, as the networks that came from TensorFlow take them."""
    return Preprocessing(side, side, mean=(127.5,), std=(127.5,), crop_fraction=0.875)


def _raw(side: int) -> Preprocessing:
    """Pixels as they are, for networks that normalise in the graph."""
    return Preprocessing(side, side, mean=(0.0,), std=(1.0,), crop_fraction=side / (side + 32))


def application(
    function: str,
    name: str,
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    include_top: bool = True,
    padding: Padding = "same",
    classifier_activation: str | None = "softmax",
    weights: str | None = None,
) -> "keras.Model":
    """The network that `keras.applications.<function>` builds, under our name.

    Raises `EdgeCnnError` for a padding rule other than Keras's own.
    """
    import keras

    if padding != "same":
        raise EdgeCnnError(
            f"{name} is built by Keras, whose padding is 'same': '{padding}' is not offered."
        )
    without_preprocessing = (
        {"include_preprocessing": False} if function.startswith("MobileNetV3") else {}
    )
    model = getattr(keras.applications, function)(
        input_shape=input_shape,
        classes=classes,
        include_top=include_top,
        classifier_activation=classifier_activation,
        weights=weights,
        name=name,
        **without_preprocessing,
    )
    _name_by_position(model)
    return model


def _name_by_position(model: "keras.Model") -> None:
    """Count the layers that Keras named itself anew from the first of their kind in this model."""
    seen: Counter[str] = Counter()
    for layer in model.layers:
        kind = type(layer).__name__
        automatic = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[0-9])(?=[A-Z][a-z])", "_", kind).lower()
        if re.fullmatch(rf"{automatic}(_\d+)?", layer.name):
            count = seen[automatic]
            seen[automatic] += 1
            layer.name = f"{automatic}_{count}" if count else automatic


def _wrap(
    name: str,
    function: str,
    preprocessing: Preprocessing,
    figures: Figures,
    *,
    family: str,
    year: int,
    paper: str,
    top: tuple[str, ...] = ("predictions",),
    minimum_side: int = 32,
) -> Builder:
    def builder(input_shape: tuple[int, int, int], classes: int, **options: Any) -> "keras.Model":
        return application(function, name, input_shape, classes, **options)

    builder.__name__ = builder.__qualname__ = name
    builder.__doc__ = f"`keras.applications.{function}`."
    return architecture(
        family=family,
        year=year,
        paper=paper,
        preprocessing=preprocessing,
        figures=figures,
        pretrained=Pretrained("keras", function),
        top=top,
        minimum_side=minimum_side,
    )(builder)


inception_v3 = _wrap(
    "inception_v3",
    "InceptionV3",
    _scaled(299),
    Figures(23_851_784, 23_817_352, 5_713_216_096, 2_074_464, 8_297_856),
    family="Inception",
    year=2015,
    paper="arXiv:1512.00567",
    minimum_side=75,
)
xception = _wrap(
    "xception",
    "Xception",
    _scaled(299),
    Figures(22_910_480, 22_855_952, 8_357_403_496, 6_914_880, 27_659_520),
    family="Inception",
    year=2016,
    paper="arXiv:1610.02357",
    minimum_side=71,
)


def _densenet(depth: int, figures: Figures) -> Builder:
    return _wrap(
        f"densenet{depth}",
        f"DenseNet{depth}",
        IMAGENET,
        figures,
        family="DenseNet",
        year=2016,
        paper="arXiv:1608.06993",
    )


densenet121 = _densenet(121, Figures(8_062_504, 7_978_856, 2_834_161_664, 1_806_336, 7_225_344))
densenet169 = _densenet(169, Figures(14_307_880, 14_149_480, 3_359_843_328, 1_806_336, 7_225_344))
densenet201 = _densenet(201, Figures(20_242_984, 20_013_928, 4_291_365_888, 1_806_336, 7_225_344))

mobilenet_v1 = _wrap(
    "mobilenet_v1",
    "MobileNet",
    _scaled(224),
    Figures(4_253_864, 4_231_976, 568_740_352, 1_204_224, 4_816_896),
    family="MobileNet",
    year=2017,
    paper="arXiv:1704.04861",
    top=("conv_preds", "predictions"),
)
mobilenet_v2 = _wrap(
    "mobilenet_v2",
    "MobileNetV2",
    _scaled(224),
    Figures(3_538_984, 3_504_872, 300_774_272, 1_505_280, 6_021_120),
    family="MobileNet",
    year=2018,
    paper="arXiv:1801.04381",
)


def _mobilenet_v3(size: str, figures: Figures) -> Builder:
    return _wrap(
        f"mobilenet_v3_{size}",
        f"MobileNetV3{size.capitalize()}",
        _scaled(224),
        figures,
        family="MobileNet",
        year=2019,
        paper="arXiv:1905.02244",
        top=("conv_2", "logits", "predictions"),
    )


mobilenet_v3_small = _mobilenet_v3(
    "small", Figures(2_554_968, 2_542_856, 56_510_400, 401_408, 1_605_632)
)
mobilenet_v3_large = _mobilenet_v3(
    "large", Figures(5_507_432, 5_483_032, 216_589_760, 1_003_520, 4_014_080)
)


def _efficientnet(number: int, side: int, figures: Figures) -> Builder:
    return _wrap(
        f"efficientnet_b{number}",
        f"EfficientNetB{number}",
        _raw(side),
        figures,
        family="EfficientNet",
        year=2019,
        paper="arXiv:1905.11946",
    )


efficientnet_b0 = _efficientnet(
    0, 224, Figures(5_330_571, 5_288_548, 385_814_752, 3_612_672, 14_450_688)
)
efficientnet_b1 = _efficientnet(
    1, 240, Figures(7_856_239, 7_794_184, 686_802_832, 4_147_200, 16_588_800)
)
efficientnet_b2 = _efficientnet(
    2, 260, Figures(9_177_569, 9_109_994, 993_561_872, 4_867_200, 19_468_800)
)
efficientnet_b3 = _efficientnet(
    3, 300, Figures(12_320_535, 12_233_232, 1_827_141_392, 9_720_000, 38_880_000)
)
