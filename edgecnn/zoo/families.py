"""Every family of the zoo: importing this module registers all its networks."""

from edgecnn.zoo import (
    alexnet,
    cspresnet,
    efficientnet_lite,
    fashion,
    googlenet,
    inception_v4,
    keras_applications,
    lenet,
    resnet,
    resnext,
    senet,
    vgg,
)

__all__ = [
    "alexnet",
    "cspresnet",
    "efficientnet_lite",
    "fashion",
    "googlenet",
    "inception_v4",
    "keras_applications",
    "lenet",
    "resnet",
    "resnext",
    "senet",
    "vgg",
]
