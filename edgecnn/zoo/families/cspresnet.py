"""CSPNet (Wang et al., 2019): half of each stage's channels go around its residual units."""

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgecnn.zoo.families.resnet import RESNET50
from edgecnn.zoo.naming import Naming, substitute
from edgecnn.zoo.registry import Pretrained, architecture
from edgecnn.zoo.residual import IMAGENET

if TYPE_CHECKING:
    import keras

CSPRESNET50 = replace(
    RESNET50,
    name="cspresnet50",
    units=(3, 3, 5, 2),
    expansion=2,
    cross_stage=True,
    slope=0.01,
)

_RENAME = substitute(
    (r"^stem\.conv1\.conv$", "conv1"),
    (r"^stem\.conv1\.bn$", "bn1"),
    (r"\.blocks\.(\d+)\.conv(\d)\.conv$", r".\1.conv\2"),
    (r"\.blocks\.(\d+)\.conv(\d)\.bn$", r".\1.bn\2"),
    (r"\.conv_(down|transition|transition_b)\.", r".\1."),
    (r"\.conv_exp\.", r".expand."),
    (r"^head\.fc$", "fc"),
)


def from_timm(path: str) -> str:
    """From timm's module paths, which count stages from 0, to ours."""
    return re.sub(r"^stages\.(\d)", lambda m: f"layer{int(m[1]) + 1}", _RENAME(path))


TIMM = Naming(
    "timm",
    mark=r"^stages\.",
    padding="symmetric",
    rename=from_timm,
    halved=r"(layer\d\.expand)\.(conv|bn)",
)


@architecture(
    family="CSPNet",
    year=2019,
    paper="arXiv:1911.11929",
    preprocessing=replace(IMAGENET.resized(256, 256), crop_fraction=0.887),
    pretrained=Pretrained("hub", "timm/cspresnet50.ra_in1k"),
    namings=(TIMM,),
    top=("fc",),
)
def cspresnet50(input_shape: tuple[int, int, int], classes: int, **options: Any) -> "keras.Model":
    """timm's layout: half-width bottlenecks, a strided 3×3 before each stage, leaky ReLU."""
    return CSPRESNET50.build(input_shape, classes, **options)
