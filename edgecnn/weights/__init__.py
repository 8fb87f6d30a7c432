"""Weights from elsewhere: packaged, cached, downloaded or from a file.

    checkpoint = edgecnn.weights.find(entry, "imagenet")     # or a file
    model = entry.builder(shape, classes, padding=checkpoint.padding or "same")
    weights = checkpoint.load_into(model)                    # kind, source, sha256

`edgecnn.zoo.build_with_weights` does these three steps.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from edgecnn.bundle import Weights
from edgecnn.weights.checkpoint import Checkpoint, read_checkpoint
from edgecnn.weights.keras_download import KerasDownload
from edgecnn.weights.labels import imagenet_labels
from edgecnn.weights.sources import packaged_available, pretrained_file
from edgecnn.zoo.blocks import padding_of
from edgecnn.zoo.registry import Architecture

if TYPE_CHECKING:
    import keras

IMAGENET = "imagenet"


def find(entry: Architecture, weights: str) -> Checkpoint | KerasDownload:
    """The checkpoint that `weights` names: `"imagenet"`, or the path of a file.

    A checkpoint knows the padding that a network needs to be built with. Raises
    `WeightsUnavailable` when pretrained weights are neither here nor can be downloaded, and
    `WeightsError` for a file that cannot be read.
    """
    if weights == IMAGENET:
        origin = entry.pretrained
        if origin is not None and origin.kind == "keras":
            return KerasDownload(entry, origin.where)
        return read_checkpoint(entry, *pretrained_file(entry))
    return read_checkpoint(entry, Path(weights), Path(weights).name)


def load_weights(model: "keras.Model", entry: Architecture, weights: str) -> Weights:
    """Load `weights` (`"imagenet"` or a file) into a network of that architecture.

    Raises `WeightsError` where they do not fit, or need another padding than the network was
    built with; nothing is changed then.
    """
    return find(entry, weights).load_into(model)


__all__ = [
    "IMAGENET",
    "Checkpoint",
    "KerasDownload",
    "find",
    "imagenet_labels",
    "load_weights",
    "packaged_available",
    "padding_of",
]
