"""A checkpoint file, read and named as our layers are."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from edgecnn.bundle import Weights, file_sha256
from edgecnn.errors import WeightsError, require
from edgecnn.weights.mapping import assign
from edgecnn.weights.torch_pickle import read_torch_legacy
from edgecnn.zoo.blocks import padding_of
from edgecnn.zoo.naming import Naming, Padding
from edgecnn.zoo.registry import Architecture

if TYPE_CHECKING:
    import keras

Array = NDArray[Any]


@dataclass(frozen=True)
class Checkpoint:
    """A network's tensors, by our layers' names with torch's suffix, in torch's layout."""

    entry: Architecture
    tensors: dict[str, Array]
    naming: Naming
    weights: Weights

    @property
    def padding(self) -> Padding | None:
        """The padding the weights were trained with; None where the network has no choice."""
        return self.naming.padding

    def load_into(self, model: "keras.Model") -> Weights:
        """Set all variables of `model`, a network of this architecture, and say from where.

        A network without its top takes all but the classifier's tensors. Raises `WeightsError`
        when the model is padded otherwise than the weights need, or when a tensor is missing,
        left over or misshapen; then nothing was changed.
        """
        used = padding_of(model)
        if self.padding is not None and used != self.padding:
            raise WeightsError(
                f"{self.weights.source} has {self.naming.publisher} weights, which need "
                f"padding='{self.padding}', and this {model.name} was built with '{used}': leave "
                "padding out and the weights choose it."
            )
        tensors = self.tensors
        names = {layer.name for layer in model.layers}
        if not any(self.entry.in_top(name) for name in names):
            tensors = {k: v for k, v in tensors.items() if not self.entry.in_top(k)}
        assign(model, tensors, self.weights.source)
        return self.weights


def read_checkpoint(entry: Architecture, path: Path, source: str) -> Checkpoint:
    """Read a `.safetensors` or legacy `.pth` file of that architecture.

    `source` is what reports call it. Raises `WeightsError` for a file that cannot be read or an
    architecture for which no naming is known, `MissingExtra` without the safetensors library.
    """
    if not entry.namings:
        raise WeightsError(
            f"{entry.name} takes no weights from files of other projects: train it, or see "
            "`edgecnn zoo` for where its pretrained weights come from."
        )
    if not path.is_file():
        raise WeightsError(
            f"No weights file {path}: --weights takes 'imagenet' or a .safetensors file."
        )
    state = _read_safetensors(path) if path.suffix == ".safetensors" else read_torch_legacy(path)
    naming = next(
        (n for n in entry.namings if any(n.marks(name) for name in state)), entry.namings[0]
    )
    tensors: dict[str, Array] = {}
    for name, tensor in state.items():
        module, _, suffix = name.rpartition(".")
        if suffix == "num_batches_tracked":
            continue  # torch counts its training steps; no network computes with it
        for layer, part in _parts(naming, naming.rename(module), tensor):
            ours = f"{layer}.{suffix}"
            if ours in tensors:
                raise WeightsError(f"{path} holds {ours} twice (once as {name}).")
            tensors[ours] = part
    return Checkpoint(entry, tensors, naming, Weights("pretrained", source, file_sha256(path)))


def _parts(naming: Naming, layer: str, tensor: Array) -> Iterator[tuple[str, Array]]:
    found = naming.halved and re.fullmatch(naming.halved, layer)
    if not found or tensor.ndim == 0:
        yield layer, tensor
        return
    middle = tensor.shape[0] // 2
    yield f"{found[1]}.0.{found[2]}", tensor[:middle]
    yield f"{found[1]}.1.{found[2]}", tensor[middle:]


def _read_safetensors(path: Path) -> dict[str, Array]:
    library = require("safetensors", what="Reading weights", package="safetensors", extra="train")
    tensors: dict[str, Array] = {}
    try:
        with library.safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 (the handle is no mapping)
                tensors[name] = file.get_tensor(name)
    except OSError as error:
        raise WeightsError(f"Cannot read {path}: {error.strerror or error}.") from None
    except (library.SafetensorError, TypeError) as error:
        raise WeightsError(f"{path} is not a readable .safetensors file: {error}") from None
    return tensors
