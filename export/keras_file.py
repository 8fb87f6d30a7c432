"""A Keras model from a file of the user's: `.keras`, or `.h5` as far as Keras 3 reads it."""

import re
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from edgecnn.bundle import MANIFEST, Weights, file_sha256
from edgecnn.errors import ExportError, require

if TYPE_CHECKING:
    import keras

LARGEST_TEXT = 64 << 20
"""Bytes of a network's description; that of the zoo's largest has under one million."""
SUFFIXES = (".keras", ".h5", ".hdf5")
REBUILD = "build it in Python and give the model itself: edgecnn.export(model, ...)"


def weights_of(path: Path) -> Weights:
    """What reports say of the weights in a file."""
    return Weights("trained", path.name, file_sha256(path))


def read_model(path: Path) -> "keras.Model":
    """The model in a file; nothing in it is executed (Keras's safe mode).

    Raises `ExportError` with the way out for what Keras cannot read.
    """
    if (path / MANIFEST).is_file():
        raise ExportError(f"{path} is a bundle already: export its network with other options.")
    if path.is_dir() or path.suffix == ".pb":
        kind = "a SavedModel" if (path / "saved_model.pb").is_file() or path.suffix else "a folder"
        raise ExportError(
            f"{path} is {kind}, which holds no layers: save the network as one file of Keras, "
            "model.save('network.keras'), and export that."
        )
    if not path.is_file():
        raise ExportError(f"{path} does not exist: give a .keras or .h5 file, or a network's name.")
    if path.suffix == ".keras" and not zipfile.is_zipfile(path):
        raise ExportError(f"{path} is damaged, or no file that Keras wrote: save the model anew.")
    if path.suffix == ".keras":
        _check_archive(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ExportError(f"{path} is no Keras model: export takes a .keras or .h5 file.")
    keras = require("keras", what="Export", package="Keras", extra="export")
    import edgecnn.layers  # noqa: F401 (registers what Keras could not find otherwise)

    try:
        found = keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever its readers and the layers in the file do
        raise ExportError(_explained(path, str(error))) from error
    if not isinstance(found, keras.Model):
        raise ExportError(f"{path} holds a {type(found).__name__}, not a whole model.")
    return found


def _check_archive(path: Path) -> None:
    """Refuse what no Keras writes, before anything is unpacked."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    for member in members:
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts:
            raise ExportError(f"{path} holds {member.filename!a}, a file outside of itself.")
        if name.suffix == ".json" and member.file_size > LARGEST_TEXT:
            size = f"{member.file_size >> 20} MB"
            raise ExportError(f"{path}: {member.filename!a} would be {size}, which no Keras wrote.")


def _explained(path: Path, reason: str) -> str:
    first = next((line.strip() for line in reason.splitlines() if line.strip()), "no reason given")
    if "ambda" in reason:
        return (
            f"{path} holds a Lambda layer, whose Python code is not run from a file: write it as a "
            f"layer of your own with a call of keras.ops, or {REBUILD}."
        )
    if missing := re.search(r"Could not locate (?:class|function) '(\w+)'", reason):
        return (
            f"{path} holds '{missing[1]}', which Keras does not know here: load it in Python with "
            f"custom_objects={{'{missing[1]}': {missing[1]}}} and give the model itself: "
            "edgecnn.export(model, ...)."
        )
    if operation := re.search(r"Unknown layer: '(\w+)'", reason):
        return (
            f"{path} holds '{operation[1]}', which an .h5 file does not say enough of: save the "
            "model as .keras where it was made."
        )
    if unknown := re.search(r"Unrecognized keyword arguments? passed to (\w+): (\{.*?\})", reason):
        return (
            f"{path} was saved by an older Keras, whose {unknown[1]} has {unknown[2]}, which Keras "
            "3 does not: load it where it was saved (or with the package tf_keras), write its "
            "weights (model.save_weights('w.weights.h5')), build the network anew and load them."
        )
    if "no model config" in reason.lower() or "no model configuration" in reason.lower():
        return f"{path} holds weights without a network: build it in Python, load_weights, export."
    return f"{path} cannot be read by Keras: {first[:300]} If its layers are your own, {REBUILD}."
