"""ImageNet weights that `keras.applications` downloads, in our networks.

Keras keeps them in its own cache (`~/.keras/models`), checks them against its own hashes, and
needs no network once they are there. For the first two MobileNets it has no hashes: theirs are ours
to check.
"""

import hashlib
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgecnn.bundle import Weights
from edgecnn.errors import WeightsError, WeightsUnavailable
from edgecnn.weights import pins
from edgecnn.zoo.naming import Padding
from edgecnn.zoo.registry import Architecture

if TYPE_CHECKING:
    import keras

STORE = "https://storage.googleapis.com/tensorflow/keras-applications"
UNCHECKED = {
    "MobileNet": ("mobilenet", "mobilenet_1_0_224_tf"),
    "MobileNetV2": ("mobilenet_v2", "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224"),
}
"""Functions of `keras.applications` that take what comes: folder and file in Keras's store."""


@dataclass(frozen=True)
class KerasDownload:
    """Keras's pretrained network of an architecture, fetched when it is loaded."""

    entry: Architecture
    function: str
    """Its name in `keras.applications`."""
    padding: Padding | None = None
    """Keras pads its networks by one rule."""

    def load_into(self, model: "keras.Model") -> Weights:
        """Set all variables of `model`, a network of this architecture, and say from where.

        Raises `WeightsUnavailable` when Keras has no such file and cannot download it, and
        `WeightsError` when the network has another number of classes or channels.
        """
        include_top = any(self.entry.in_top(layer.name) for layer in model.layers)
        donor = self._donor(include_top)
        values = donor.get_weights()
        shapes = [np.shape(value) for value in values]
        if shapes != [tuple(weight.shape) for weight in model.weights]:
            raise WeightsError(
                f"Keras's ImageNet weights of {self.entry.name} have {self.entry.classes} classes "
                f"and 3 channels, this network {model.output_shape[-1]} and "
                f"{model.input_shape[-1]}. Nothing was loaded."
            )
        model.set_weights(values)
        _fold_second_rescaling(donor, model)
        digest = hashlib.sha256(b"".join(np.ascontiguousarray(v).tobytes() for v in values))
        source = f"keras.applications.{self.function}"
        return Weights("pretrained", source, digest.hexdigest())

    def _donor(self, include_top: bool) -> "keras.Model":
        from edgecnn.zoo.families.keras_applications import application

        try:
            with redirect_stdout(sys.stderr):  # Keras prints its progress where reports go
                return application(
                    self.function,
                    self.entry.name,
                    self.entry.input_shape,
                    self.entry.classes,
                    include_top=include_top,
                    weights=_checked(self.function, include_top) or "imagenet",
                )
        except WeightsError:
            raise
        except Exception as error:
            if "corrupted file" in str(error):
                raise WeightsError(
                    f"What Keras downloaded as weights of {self.entry.name} has not the hash that "
                    "Keras knows: delete it in ~/.keras/models and try again."
                ) from None
            if "URL fetch failure" not in str(error):  # all that Keras gives to tell it by
                raise
            raise WeightsUnavailable(
                f"Keras cannot download ImageNet weights of {self.entry.name} ({error}). Without "
                "a network: copy ~/.keras/models from a machine that has them, use a network "
                "whose weights are packaged (efficientnet_lite0), or take untrained ones "
                "(--weights random)."
            ) from error


def _checked(function: str, include_top: bool) -> str | None:
    """The file of weights that Keras does not check itself; None for those that it does."""
    if function not in UNCHECKED:
        return None
    import keras

    folder, stem = UNCHECKED[function]
    name = f"{stem}{'' if include_top else '_no_top'}.h5"
    path = str(keras.utils.get_file(name, f"{STORE}/{folder}/{name}", cache_subdir="models"))
    pins.check(name, Path(path))
    return path


def _fold_second_rescaling(donor: "keras.Model", model: "keras.Model") -> None:
    """Bring EfficientNet-B's input scale along, which Keras adds with its ImageNet weights only.

    There `Normalization` (by variance v) is followed by a `Rescaling` by s; without it a
    variance of v/s² does the same.
    """
    from keras import layers

    found = [x for x in donor.layers if isinstance(x, layers.Rescaling)]
    if len(found) < 2:
        return
    scale = np.asarray(found[1].scale, np.float32)
    for layer in model.layers:
        if isinstance(layer, layers.Normalization):
            mean, variance, *count = layer.get_weights()
            layer.set_weights([mean, variance / scale**2, *count])
            layer.finalize_state()
