"""Data sets that are arrays: scikit-learn's digits, MNIST, Fashion-MNIST and CIFAR-10.

The last three are downloaded by Keras, or read from local files in any of the formats they are
distributed in: `.npz` (Keras), IDX (LeCun; gzipped or not), the Python pickles of CIFAR.
"""

import gzip
import pickle
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.data.dataset import ArrayFrames, Split
from edgecnn.data.source import WHOLE, Source
from edgecnn.errors import DataError, require

DIGITS = tuple("0123456789")
LABELS = {
    "mnist": DIGITS,
    "fashion_mnist": (
        *("t-shirt/top", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
    ),
    "cifar10": (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    ),
}
IDX_NAMES = {"train": "train", "test": "t10k"}
CIFAR_BATCHES = {"train": "data_batch_*", "test": "test_batch*"}


class Labelled(NamedTuple):
    """Pixels uint8 `(count, height, width[, 3])`, RGB, and class indices `(count,)`."""

    pixels: NDArray[np.uint8]
    targets: NDArray[np.int64]


def read_digits() -> Source:
    """scikit-learn's 1,797 grey pictures of handwritten digits, 8×8."""
    datasets = require(
        "sklearn.datasets", what="The data set 'digits'", package="scikit-learn", extra="train"
    )
    digits = datasets.load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # stored as 0 to 16
    split = Split(ArrayFrames(pixels, "digits"), digits.target.astype(np.int64))
    return Source(DIGITS, {WHOLE: split})


def read_known(name: str, path: Path | None) -> Source:
    """`mnist`, `fashion_mnist` or `cifar10`, from local files or downloaded by Keras."""
    parts = _download(name) if path is None else read_local(path)
    labels = LABELS[name]
    for part, (_, targets) in parts.items():
        if targets.min() < 0 or targets.max() >= len(labels):
            raise DataError(
                f"{path or name} ({part}) has classes {targets.min()} to {targets.max()}, but "
                f"{name} has {len(labels)}: is it another data set?"
            )
    splits = {
        part: Split(ArrayFrames(pixels, f"{name}-{part}"), targets)
        for part, (pixels, targets) in parts.items()
    }
    return Source(labels, splits)


def read_local(path: Path) -> dict[str, Labelled]:
    """`train` and `test` from an `.npz` file or a folder of IDX or CIFAR files."""
    if path.suffix == ".npz" and path.is_file():
        return _read_npz(path)
    if path.is_dir():
        if list(path.glob("*-images*idx3-ubyte*")):
            return _read_idx_folder(path)
        if list(path.glob("data_batch_*")):
            return _read_cifar_folder(path)
    raise DataError(
        f"{path} holds no data set: expected an .npz file, or a folder with IDX files "
        "(train-images-idx3-ubyte.gz, ...) or CIFAR batches (data_batch_1, ...)."
    )


def checked(pixels: Any, targets: Any, where: Path | str) -> Labelled:
    """Arrays that are pictures and their classes; raises `DataError` for any others."""
    pixels, targets = np.asarray(pixels), np.asarray(targets)
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if pixels.ndim == 4 and pixels.shape[3] == 1:
        pixels = pixels[..., 0]
    grey_or_rgb = pixels.ndim == 3 or (pixels.ndim == 4 and pixels.shape[3] == 3)
    if pixels.dtype != np.uint8 or not grey_or_rgb:
        raise DataError(
            f"{where} holds {pixels.dtype} {pixels.shape}, not uint8 pictures "
            "(count, height, width) or (count, height, width, 3)."
        )
    if targets.shape != (len(pixels),) or not np.issubdtype(targets.dtype, np.integer):
        raise DataError(
            f"{where} has {len(pixels)} pictures but {targets.dtype} {targets.shape} as classes."
        )
    if not len(pixels):
        raise DataError(f"{where} holds no pictures.")
    return Labelled(pixels, targets.astype(np.int64))


def _download(name: str) -> dict[str, Labelled]:
    require("tensorflow", what=f"Downloading {name}", package="TensorFlow", extra="train")
    datasets = require("keras", what=f"Downloading {name}", package="Keras", extra="train").datasets
    try:
        train, test = getattr(datasets, name).load_data()
    except Exception as error:  # Keras raises a bare Exception for a failed download
        raise DataError(
            f"{name} could not be downloaded ({error}). With a copy at hand: --data {name}:PATH."
        ) from None
    return {"train": checked(train[0], train[1], name), "test": checked(test[0], test[1], name)}


def _read_npz(path: Path) -> dict[str, Labelled]:
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {key: data[key] for key in data.files}
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    found = {
        part: checked(arrays[f"x_{part}"], arrays[f"y_{part}"], path)
        for part in ("train", "val", "test")
        if {f"x_{part}", f"y_{part}"} <= arrays.keys()
    }
    if "train" not in found:
        raise DataError(f"{path} needs the arrays x_train and y_train; it has {sorted(arrays)}.")
    return found


def _read_idx_folder(folder: Path) -> dict[str, Labelled]:
    found = {}
    for part, prefix in IDX_NAMES.items():
        images, labels = (
            sorted(folder.glob(f"{prefix}-{kind}?idx{axes}-ubyte*"))
            for kind, axes in (("images", 3), ("labels", 1))
        )
        if images and labels:
            found[part] = checked(_read_idx(images[0]), _read_idx(labels[0]), folder)
    if "train" not in found:
        raise DataError(f"{folder} needs train-images-idx3-ubyte and train-labels-idx1-ubyte.")
    return found


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """An IDX file of bytes: 0, 0, type 8, number of axes, each length, the values."""
    try:
        data = path.read_bytes()
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
    except (OSError, EOFError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    if len(data) < 4 or data[:3] != b"\x00\x00\x08":
        raise DataError(f"{path} is not an IDX file of bytes.")
    start = 4 + 4 * data[3]
    shape = tuple(np.frombuffer(data[4:start], ">u4").tolist())
    if len(data) - start != np.prod(shape, dtype=np.int64):
        raise DataError(f"{path} is cut short: {len(data) - start} bytes for shape {shape}.")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


class _ArraysOnly(pickle.Unpickler):
    """Reads the pickles of CIFAR: dicts, lists, bytes and numpy arrays; runs nothing else."""

    ALLOWED = re.compile(
        r"numpy(\._core|\.core)?(\.multiarray)?\.(_reconstruct|ndarray|dtype)|_codecs\.encode"
    )

    def find_class(self, module: str, name: str) -> Any:
        """The few names that an array needs."""
        if not self.ALLOWED.fullmatch(f"{module}.{name}"):
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _read_cifar_folder(folder: Path) -> dict[str, Labelled]:
    found = {}
    for part, pattern in CIFAR_BATCHES.items():
        files = [p for p in sorted(folder.glob(pattern)) if p.suffix != ".bin"]
        if files:
            found[part] = _read_cifar_batches(files)
    if "train" not in found:
        raise DataError(f"{folder} needs the Python version of CIFAR: data_batch_1, ...")
    return found


def _read_cifar_batches(files: Sequence[Path]) -> Labelled:
    pixels, targets = [], []
    for path in files:
        try:
            with path.open("rb") as stream:
                batch = _ArraysOnly(stream, encoding="bytes").load()
            pixels.append(np.asarray(batch[b"data"]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
            targets.append(np.asarray(batch[b"labels"], np.int64))
        except (pickle.UnpicklingError, KeyError, ValueError, EOFError, TypeError) as error:
            raise DataError(f"{path} is not a CIFAR-10 batch: {error}.") from None
    return checked(np.concatenate(pixels), np.concatenate(targets), files[0].parent)
