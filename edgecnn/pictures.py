"""Pictures on disk: finding, reading and identifying them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn import labels_csv
from edgecnn.errors import DataError
from edgecnn.file_array import FileArray
from edgecnn.head import Head
from edgecnn.labels_csv import LABELS_CSV
from edgecnn.opencv import LARGEST_PICTURE, build_has, opencv
from edgecnn.picture_files import find_pictures, matching, not_read_here
from edgecnn.preparation import all_prepared, prepared_file
from edgecnn.preprocessing import Frame, Preprocessing

SEVERAL = "|"
"""Between the labels of a picture that has several."""
BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"), "HEIC"),
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
}
"""What stands in the head of files that phones write, whatever they are called."""


@dataclass(frozen=True)
class Picture:
    """A picture file, or a part of one.

    `part` is `(top, left, side)` as fractions of the picture's height, width and of both: the
    whole picture when None. `label` is the class name where it is known, or several with `|`
    between them; an empty one says that none holds. Pictures of one `moment`, where that is known,
    are alike: all of them are trained on, or none.
    """

    path: Path
    label: str | None = None
    part: tuple[float, float, float] | None = None
    moment: str | None = None

    @property
    def name(self) -> str:
        """File name, with the part where it is one."""
        if self.part is None:
            return self.path.name
        return f"{self.path.name}#{','.join(f'{x:g}' for x in self.part)}"

    @cached_property
    def sha256(self) -> str:
        """Hash of the file's bytes and the part."""
        digest = hashlib.sha256(self.path.read_bytes())
        if self.part is not None:
            digest.update(repr(self.part).encode())
        return digest.hexdigest()

    def read(self) -> Frame:
        """The pixels, BGR uint8 `(height, width, 3)`; raises `DataError` for anything else."""
        frame = read_picture(self.path)
        if self.part is None:
            return frame
        top, left, side = self.part
        height, width = frame.shape[:2]
        rows = slice(round(top * height), round((top + side) * height))
        columns = slice(round(left * width), round((left + side) * width))
        return np.ascontiguousarray(frame[rows, columns])


def read_picture(path: Path) -> Frame:
    """A picture file as BGR uint8 `(height, width, 3)`, turned upright by its EXIF data.

    Of an animation, the first frame. Raises `DataError` for anything that is no picture.
    """
    cv2 = opencv()
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}.") from None
    try:
        frame = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error as error:
        if "MAX_IMAGE" not in str(error):
            raise DataError(f"{path} cannot be decoded: {error.err}.") from None
        raise DataError(
            f"{path} has more pixels than any camera ({LARGEST_PICTURE / 1e6:.0f} million): scale "
            "it down."
        ) from None
    if frame is None:
        if kind := undecoded(data.tobytes()):
            raise DataError(not_read_here(path, kind))
        raise DataError(f"{path} is not a picture OpenCV can read (JPEG, PNG, WebP, ...).")
    return np.asarray(frame, np.uint8)


def undecoded(data: bytes) -> str | None:
    """What kind of picture it is, if OpenCV decodes none of that kind here; else None."""
    kind = BRANDS.get(data[8:12]) if data[4:8] == b"ftyp" else None
    if kind is None and data.startswith(b"GIF8"):
        kind = "GIF"
    return None if kind is None or build_has(kind) else kind


def list_pictures(folder: Path) -> list[Path]:
    """Every picture file in a folder and below, sorted by path; raises `DataError` if none.

    Pictures that OpenCV cannot read, a phone's HEIC, are counted on the log.
    """
    found = find_pictures(folder)
    found.tell()
    return list(found.pictures)


def matching_pictures(pattern: str) -> list[Path]:
    """As `list_pictures`, of what a glob matches."""
    found = matching(pattern)
    found.tell()
    return list(found.pictures)


def labelled_pictures(source: Path, *, empty_labels: bool = False) -> list[Picture]:
    """Pictures with their labels.

    `source` is a CSV file with the columns `file` and `label` (paths relative to the CSV), a
    folder with such a `labels.csv`, or a folder with a subfolder for each class. With
    `empty_labels` a row may say that none holds.
    """
    listed = listed_pictures(source, empty_labels=empty_labels)
    return listed or pictures_by_class(source, list_pictures(source))


def moment_digest(moment: str) -> bytes:
    """Stands for a moment among the hashes of pictures that have none."""
    return hashlib.sha256(moment.encode()).digest()


def listed_pictures(source: Path, *, empty_labels: bool = False) -> list[Picture]:
    """Those of a CSV file, or of a folder's `labels.csv`; empty where there is none."""
    path = source if source.is_file() else source / LABELS_CSV
    if not path.is_file():
        return []
    found = labels_csv.read(path, empty_labels=empty_labels)
    return [Picture(file, one.label, moment=one.moment) for file, one in found.items()]


def pictures_by_class(folder: Path, files: Sequence[Path]) -> list[Picture]:
    """Files below a folder, with the subfolder they are in as label; `DataError` if none is."""
    found = [
        Picture(path, label=path.relative_to(folder).parts[0])
        for path in files
        if path.parent != folder
    ]
    if not found:
        raise DataError(
            f"{folder} gives no labels: put the pictures in a subfolder for each class, or add a "
            f"{LABELS_CSV} with the columns file,label."
        )
    return found


def class_indices(pictures: Sequence[Picture], labels: Sequence[str]) -> list[int]:
    """The class index of each picture: its label is a name in `labels`, or an index into it."""
    index = {label: i for i, label in reversed(list(enumerate(labels)))}
    found: list[int] = []
    for picture in pictures:
        label = picture.label or ""
        if label in index:
            found.append(index[label])
        elif label.isdecimal() and int(label) < len(labels):
            found.append(int(label))
        else:
            raise DataError(
                f"{picture.path} has the label '{label}', which is none of the network's "
                f"{len(labels)} classes ({', '.join(labels[:3])}, ...)."
            )
    return found


def truths(pictures: Sequence[Picture], labels: Sequence[str], head: Head) -> NDArray[Any]:
    """What the labels of pictures say, in the form that a network's head is judged by.

    Class numbers `(count,)`: of `softmax` and of `binary` with two labels as `class_indices`
    finds them; of `binary` with one label 1 for that label and 0 for every other. For `sigmoid`
    `(count, labels)` of bool: see `Picture.label`. Raises `DataError` for unknown labels.
    """
    if head.kind == "sigmoid":
        found = np.zeros((len(pictures), len(labels)), bool)
        for holds, picture in zip(found, pictures, strict=True):
            if picture.label is None:
                raise DataError(f"{picture.path} has no labels; if none holds, say '' for it.")
            whole = picture.label in labels  # a label may hold the sign that stands between two
            names = [picture.label] if whole else picture.label.split(SEVERAL)
            names = [name.strip() for name in names]
            each = [Picture(picture.path, name) for name in names if name]
            holds[class_indices(each, labels)] = True
        return found
    if head.kind == "binary" and len(labels) == 1:
        return np.array([picture.label == labels[0] for picture in pictures], np.int64)
    return np.array(class_indices(pictures, labels), np.int64)


def prepare(pictures: Sequence[Picture], preprocessing: Preprocessing) -> np.ndarray[Any, Any]:
    """All pictures as network input, uint8 `(count, height, width, channels)`."""
    return all_prepared(lambda index: pictures[index].read(), len(pictures), preprocessing)


def prepare_in_file(pictures: Sequence[Picture], preprocessing: Preprocessing) -> FileArray:
    """The same for as many as there are: they wait in a file, not in memory."""
    return prepared_file(lambda index: pictures[index].read(), len(pictures), preprocessing)
