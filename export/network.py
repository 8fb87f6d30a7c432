"""What is exported: a Keras model with its labels, preprocessing and the origin of its weights."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgecnn import checkpoint as checkpoints
from edgecnn import zoo
from edgecnn.bundle import Weights
from edgecnn.checkpoint import Checkpoint
from edgecnn.errors import ExportError, MissingExtra, WeightsError, WeightsUnavailable, require
from edgecnn.preprocessing import Preprocessing

if TYPE_CHECKING:
    import keras

RANDOM_SEED = 0
"""Random weights are the same at each export, so that two exports can be compared."""


@dataclass(frozen=True)
class Network:
    """A classifier ready to be exported."""

    model: "keras.Model"
    architecture: str
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    weights: Weights
    checkpoint: Checkpoint | None = None
    notes: tuple[str, ...] = ()
    """What the user should know about how it was found."""


def of_model(
    model: "keras.Model", preprocessing: Preprocessing | None, labels: Sequence[str] | None
) -> Network:
    """A Keras model of the user's own.

    Raises `ExportError` where what only its author knows was not given.
    """
    if preprocessing is None:
        raise ExportError(
            f"How {model.name} wants its pictures is not in the model: give preprocessing=, such "
            "as Preprocessing(224, 224, mean=(127.5,), std=(127.5,))."
        )
    if model.input_shape != (None, *preprocessing.shape[1:]):
        raise ExportError(
            f"{model.name} takes {model.input_shape}, its preprocessing gives "
            f"{preprocessing.shape}."
        )
    digest = hashlib.sha256()
    for value in model.get_weights():
        digest.update(np.ascontiguousarray(value).tobytes())
    return Network(
        model,
        model.name,
        preprocessing,
        _labels(model, labels, model.name),
        Weights("trained", "a Keras model in memory", digest.hexdigest()),
    )


def of_checkpoint(checkpoint: Checkpoint) -> Network:
    """A finished training run."""
    model = checkpoint.load_model()
    return Network(
        model,
        checkpoint.architecture,
        checkpoint.preprocessing,
        _labels(model, checkpoint.labels, str(checkpoint.path)),
        checkpoint.weights(),
        checkpoint,
    )


def find(what: str | Path, weights: str = "auto") -> Network:
    """The network a user named: a checkpoint's path, or an architecture with `weights`.

    `weights` is `auto`, `imagenet`, `random` or a file. `auto` takes the newest finished training
    run of the architecture under `runs/`, else pretrained weights (installed, cached, or
    downloaded), else random ones, and says in `notes` why.
    """
    # A folder that happens to be called resnet34 does not hide the network.
    if str(what) not in zoo.names() and Path(what).exists():
        return of_checkpoint(Checkpoint.load(Path(what)))
    entry = zoo.get(str(what))
    require("keras", what="Export", package="Keras", extra="export")
    if weights == "random":
        return _random(entry)
    if weights == "auto":
        run = checkpoints.newest(entry.name)
        if run is not None:
            return of_checkpoint(run)
        try:
            return _pretrained(entry, "imagenet")
        except (WeightsUnavailable, MissingExtra) as reason:
            return _random(entry, str(reason))
    return _pretrained(entry, weights)


def _pretrained(entry: zoo.Architecture, weights: str) -> Network:
    model, origin = zoo.build_with_weights(entry.name, weights=weights)
    if origin is None:
        raise WeightsError(f"'{weights}' gave no weights for {entry.name}.")
    return Network(model, entry.name, entry.preprocessing, _published_labels(entry.classes), origin)


def _random(entry: zoo.Architecture, reason: str = "") -> Network:
    import keras

    keras.utils.set_random_seed(RANDOM_SEED)
    model = zoo.build(entry.name)
    note = (
        f"{entry.name} has random weights: its predictions mean nothing, while latency and memory "
        f"are real. Train it (`edgecnn train {entry.name} --data DIR`) or give --weights FILE."
    )
    return Network(
        model,
        entry.name,
        entry.preprocessing,
        _published_labels(entry.classes),
        Weights("random", f"He-initialised, seed {RANDOM_SEED}", ""),
        notes=(note, *((f"No pretrained weights: {reason}",) if reason else ())),
    )


def _published_labels(classes: int) -> tuple[str, ...]:
    if classes == 1000:
        from edgecnn.weights import imagenet_labels

        try:
            return tuple(imagenet_labels())
        except MissingExtra:
            pass  # names are a comfort: the class numbers below are right without them
    return tuple(f"class {index}" for index in range(classes))


def _labels(model: "keras.Model", labels: Sequence[str] | None, where: str) -> tuple[str, ...]:
    output = model.outputs[0].shape[-1]
    found = tuple(labels) if labels is not None else _published_labels(output)
    if len(found) != output:
        raise ExportError(f"{where} has {output} classes and {len(found)} labels.")
    return found
