"""Residual networks (He et al., 2015): the text's residual units, bottlenecks from 50 on."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgecnn.zoo.naming import TORCH
from edgecnn.zoo.registry import Pretrained, architecture
from edgecnn.zoo.residual import IMAGENET, ResNet

if TYPE_CHECKING:
    import keras

RESNET18 = ResNet("resnet18", units=(2, 2, 2, 2))
RESNET34 = replace(RESNET18, name="resnet34", units=(3, 4, 6, 3))
RESNET50 = replace(RESNET34, name="resnet50", bottleneck=True)
RESNET101 = replace(RESNET50, name="resnet101", units=(3, 4, 23, 3))
RESNET152 = replace(RESNET50, name="resnet152", units=(3, 8, 36, 3))


def published(network: ResNet) -> dict[str, Any]:
    """What these networks have in common in the registry."""
    return {
        "family": "ResNet",
        "year": 2015,
        "paper": "arXiv:1512.03385",
        "preprocessing": IMAGENET,
        "pretrained": Pretrained("hub", f"timm/{network.name}.tv_in1k"),
        "namings": (TORCH,),
        "top": ("fc",),
    }


@architecture(
    **published(RESNET18),
)
def resnet18(input_shape: tuple[int, int, int], classes: int, **options: Any) -> "keras.Model":
    """Residual units 64×2, 128×2, 256×2, 512×2."""
    return RESNET18.build(input_shape, classes, **options)


@architecture(
    **published(RESNET34),
)
def resnet34(input_shape: tuple[int, int, int], classes: int, **options: Any) -> "keras.Model":
    """Residual units 64×3, 128×4, 256×6, 512×3."""
    return RESNET34.build(input_shape, classes, **options)


@architecture(
    **published(RESNET50),
)
def resnet50(input_shape: tuple[int, int, int], classes: int, **options: Any) -> "keras.Model":
    """Bottleneck units 64×3, 128×4, 256×6, 512×3."""
    return RESNET50.build(input_shape, classes, **options)


@architecture(
    **published(RESNET101),
)
def resnet101(input_shape: tuple[int, int, int], classes: int, **options: Any) -> "keras.Model":
    """Bottleneck units 64×3, 128×4, 256×23, 512×3."""
    return RESNET101.build(input_shape, classes, **options)


@architecture(
    **published(RESNET152),
)
def resnet152(input_shape: tuple[int, int, int], classes: int, **options: Any) -> "keras.Model":
    """Bottleneck units 64×3, 128×8, 256×36, 512×3."""
    return RESNET152.build(input_shape, classes, **options)
