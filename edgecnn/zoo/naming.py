"""How published checkpoints name and pad what our layers hold.

Our layers carry torch's module paths (`layer1.0.conv1`), so that for most checkpoints import is
the identity; a `Naming` says how another publisher's paths become ours.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Padding = Literal["same", "symmetric", "caffe"]
"""How a layer of stride 2 is padded.

- `same`: TensorFlow's rule, what is missing, the odd column at the end.
- `symmetric`: torch's, half the kernel on both sides.
- `caffe`: convolutions as `symmetric`; pools not padded, their output size rounded up.
"""
PADDINGS: tuple[Padding, ...] = ("same", "symmetric", "caffe")


def unchanged(path: str) -> str:
    """The rule of checkpoints whose module paths are our layers' names."""
    return path


def substitute(*rules: tuple[str, str]) -> Callable[[str], str]:
    """A rule that applies each `(pattern, replacement)` of regular expressions in turn."""

    def rename(path: str) -> str:
        for pattern, replacement in rules:
            path = re.sub(pattern, replacement, path)
        return path

    return rename


@dataclass(frozen=True)
class Naming:
    """One publisher's names for a family's tensors, and the padding they were trained with."""

    publisher: str
    mark: str
    """A regular expression that finds one of this publisher's tensor names, and no other's."""
    padding: Padding | None
    """None where the network pads nothing by more than one rule."""
    rename: Callable[[str], str] = unchanged
    """From the publisher's module path to our layer's name."""
    halved: str | None = None
    """Matches `NAME.LAYER` where the halves of a tensor's output channels belong to two of our
    layers, `NAME.0.LAYER` and `NAME.1.LAYER`."""

    def marks(self, tensor: str) -> bool:
        """Whether a tensor of that name shows a checkpoint of this publisher."""
        return re.search(self.mark, tensor) is not None


TORCH = Naming("torchvision and timm", mark=r"^layer\d|^features\.", padding="symmetric")
"""torch's own module paths, which are our layers' names."""
