"""ResNeXt (Xie et al., 2016): bottlenecks whose 3×3 convolution is grouped."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgecnn.zoo.families.resnet import RESNET50
from edgecnn.zoo.naming import TORCH
from edgecnn.zoo.registry import Pretrained, architecture
from edgecnn.zoo.residual import IMAGENET

if TYPE_CHECKING:
    import keras

RESNEXT50 = replace(RESNET50, name="resnext50_32x4d", groups=32, group_filters=4)


@architecture(
    family="ResNeXt",
    year=2016,
    paper="arXiv:1611.05431",
    preprocessing=IMAGENET,
    pretrained=Pretrained("hub", "timm/resnext50_32x4d.tv_in1k"),
    namings=(TORCH,),
    top=("fc",),
)
def resnext50_32x4d(
    input_shape: tuple[int, int, int], classes: int, **options: Any
) -> "keras.Model":
    """ResNet-50's depth, 32 groups of 4 filters in the first stage."""
    return RESNEXT50.build(input_shape, classes, **options)
