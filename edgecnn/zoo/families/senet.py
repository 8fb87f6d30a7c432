"""Squeeze-and-excitation networks (Hu et al., 2017): a gate on every channel of each unit."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgecnn.zoo.families.resnet import RESNET50
from edgecnn.zoo.naming import TORCH, Naming, substitute
from edgecnn.zoo.registry import Pretrained, architecture
from edgecnn.zoo.residual import IMAGENET

if TYPE_CHECKING:
    import keras

SERESNET50 = replace(RESNET50, name="seresnet50", squeeze=16)
SENET154 = replace(
    SERESNET50,
    name="senet154",
    units=(3, 8, 36, 3),
    groups=64,
    group_filters=4,
    reduce_first=2,
    deep_stem=True,
    skip_kernel=3,
    dropout=0.2,
)

CADENE = Naming(
    "timm's legacy_senet154 and Cadene's",
    mark=r"^layer0\.",
    padding="caffe",
    rename=substitute(
        (r"^layer0\.conv1$", "conv1.0"),
        (r"^layer0\.bn1$", "conv1.1"),
        (r"^layer0\.conv2$", "conv1.3"),
        (r"^layer0\.bn2$", "conv1.4"),
        (r"^layer0\.conv3$", "conv1.6"),
        (r"^layer0\.bn3$", "bn1"),
        (r"\.se_module\.", ".se."),
        (r"^last_linear$", "fc"),
    ),
)
PUBLISHED: dict[str, Any] = {
    "family": "SENet",
    "year": 2017,
    "paper": "arXiv:1709.01507",
    "preprocessing": IMAGENET,
    "top": ("fc",),
}


@architecture(
    **PUBLISHED,
    pretrained=Pretrained("hub", "timm/seresnet50.ra2_in1k"),
    namings=(TORCH,),
)
def seresnet50(input_shape: tuple[int, int, int], classes: int, **options: Any) -> "keras.Model":
    """ResNet-50 with gates of reduction 16."""
    return SERESNET50.build(input_shape, classes, **options)


@architecture(
    **PUBLISHED,
    pretrained=Pretrained("hub", "timm/legacy_senet154.in1k"),
    namings=(CADENE, TORCH),
)
def senet154(input_shape: tuple[int, int, int], classes: int, **options: Any) -> "keras.Model":
    """The winner of ILSVRC 2017: 64 groups, a stem of three 3×3, units of half the reduction."""
    return SENET154.build(input_shape, classes, **options)
