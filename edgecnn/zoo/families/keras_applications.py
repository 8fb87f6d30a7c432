"""The networks that `keras.applications` builds, made to behave like the others.

What is added to Keras's function: our name, layer names that are the same in every build (Keras
numbers unnamed layers through the process), a preprocessing outside the graph, one error type.
EfficientNet-B is the exception: Keras puts its normalisation in the graph and offers no other
way, so that its preprocessing here is raw pixels.
"""

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from edgecnn.errors import EdgeCnnError
from edgecnn.preprocessing import Preprocessing
from edgecnn.zoo.naming import Padding
from edgecnn.zoo.registry import Pretrained, architecture
from edgecnn.zoo.residual import IMAGENET

if TYPE_CHECKING:
    import keras


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


def _offer(
    name: str,
    function: str,
    preprocessing: Preprocessing,
    *,
    family: str,
    year: int,
    paper: str,
    top: tuple[str, ...] = ("predictions",),
    minimum_side: int = 32,
) -> None:
    def builder(input_shape: tuple[int, int, int], classes: int, **options: Any) -> "keras.Model":
        return application(function, name, input_shape, classes, **options)

    builder.__name__ = builder.__qualname__ = name
    builder.__doc__ = f"`keras.applications.{function}`."
    architecture(
        family=family,
        year=year,
        paper=paper,
        preprocessing=preprocessing,
        pretrained=Pretrained("keras", function),
        top=top,
        minimum_side=minimum_side,
    )(builder)


_offer(
    *("inception_v3", "InceptionV3", _scaled(299)),
    family="Inception",
    year=2015,
    paper="arXiv:1512.00567",
    minimum_side=75,
)
_offer(
    *("xception", "Xception", _scaled(299)),
    family="Inception",
    year=2016,
    paper="arXiv:1610.02357",
    minimum_side=71,
)
for depth in (121, 169, 201):
    _offer(
        *(f"densenet{depth}", f"DenseNet{depth}", IMAGENET),
        family="DenseNet",
        year=2016,
        paper="arXiv:1608.06993",
    )
_offer(
    *("mobilenet_v1", "MobileNet", _scaled(224)),
    family="MobileNet",
    year=2017,
    paper="arXiv:1704.04861",
    top=("conv_preds", "predictions"),
)
_offer(
    *("mobilenet_v2", "MobileNetV2", _scaled(224)),
    family="MobileNet",
    year=2018,
    paper="arXiv:1801.04381",
)
for size in ("small", "large"):
    _offer(
        *(f"mobilenet_v3_{size}", f"MobileNetV3{size.capitalize()}", _scaled(224)),
        family="MobileNet",
        year=2019,
        paper="arXiv:1905.02244",
        top=("conv_2", "logits", "predictions"),
    )
for number, side in enumerate((224, 240, 260, 300)):
    _offer(
        *(f"efficientnet_b{number}", f"EfficientNetB{number}", _raw(side)),
        family="EfficientNet",
        year=2019,
        paper="arXiv:1905.11946",
    )
