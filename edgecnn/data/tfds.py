"""Image classification sets of tensorflow-datasets."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgecnn.data.dataset import Split
from edgecnn.data.source import WHOLE, Source
from edgecnn.errors import DataError, require
from edgecnn.opencv import opencv
from edgecnn.pictures import Picture
from edgecnn.preprocessing import Frame

PARTS = {"train": "train", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class EncodedFrames:
    """Frames kept as the JPEG or PNG bytes they are stored as, decoded when asked for."""

    encoded: tuple[bytes, ...]
    prefix: str

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, index: int) -> Frame:
        cv2 = opencv()
        frame = cv2.imdecode(np.frombuffer(self.encoded[index], np.uint8), cv2.IMREAD_COLOR)
        if frame is None:
            raise DataError(f"{self.name(index)} is not a picture OpenCV can read.")
        return np.asarray(frame, np.uint8)

    def take(self, indices: NDArray[np.int64]) -> Self:
        """The pictures of these indices."""
        return type(self)(tuple(self.encoded[i] for i in indices), self.prefix)

    def name(self, index: int) -> str:
        """The data set and the beginning of the picture's hash."""
        return f"{self.prefix}-{self.digest(index).hex()[:12]}"

    def digest(self, index: int) -> bytes:
        """Hash of the encoded bytes."""
        return hashlib.sha256(self.encoded[index]).digest()

    def moment(self, index: int) -> None:
        """Not known."""

    def as_picture(self, index: int, label: str, folder: Path) -> Picture:
        """A file of these very bytes."""
        data = self.encoded[index]
        suffix = "jpg" if data.startswith(b"\xff\xd8") else "png"
        path = folder / f"{self.name(index)}.{suffix}"
        path.write_bytes(data)
        return Picture(path, label)


def read(name: str) -> Source:
    """The data set of that name, downloaded where it is not cached."""
    tfds = require(
        "tensorflow_datasets",
        what=f"The data source 'tfds:{name}'",
        package="tensorflow-datasets",
        extra="tfds",
    )
    try:
        builder = tfds.builder(name)
        builder.download_and_prepare()
    except tfds.core.DatasetNotFoundError as error:
        raise DataError(f"tensorflow-datasets knows no '{name}': {error}") from None
    except ImportError:
        raise  # a data set that needs a package of its own says which
    except Exception as error:  # its downloads fail with errors of many libraries
        raise DataError(f"tfds:{name} could not be downloaded: {error}") from None
    features = dict(builder.info.features.items())
    image, label = features.get("image"), features.get("label")
    if not isinstance(image, tfds.features.Image) or not isinstance(
        label, tfds.features.ClassLabel
    ):
        raise DataError(f"tfds:{name} has no features 'image' and 'label': {list(features)}.")
    if "train" not in builder.info.splits:
        raise DataError(f"tfds:{name} has no split 'train': {list(builder.info.splits)}.")
    parts = {PARTS[part]: part for part in builder.info.splits if part in PARTS}
    splits = {ours: _read_part(tfds, builder, theirs) for ours, theirs in parts.items()}
    if set(splits) == {"train"}:
        splits = {WHOLE: splits["train"]}
    return Source(_names(label), splits)


def _read_part(tfds: Any, builder: Any, part: str) -> Split:
    records = tfds.as_numpy(
        builder.as_dataset(split=part, decoders={"image": tfds.decode.SkipDecoding()})
    )
    encoded, targets = [], []
    for record in records:
        encoded.append(bytes(record["image"]))
        targets.append(int(record["label"]))
    return Split(
        EncodedFrames(tuple(encoded), f"{builder.name}-{part}"), np.asarray(targets, np.int64)
    )


def _names(label: Any) -> tuple[str, ...]:
    return tuple(str(name) for name in label.names)
