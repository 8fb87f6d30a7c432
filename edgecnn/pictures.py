"""Pictures on disk: finding, reading and identifying them."""

import csv
import glob
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.errors import DataError
from edgecnn.head import Head
from edgecnn.opencv import opencv
from edgecnn.preprocessing import Frame, FramePreparer, Preprocessing

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff"})
LABELS_CSV = "labels.csv"
SEVERAL = "|"
"""Between the labels of a picture that has several."""


@dataclass(frozen=True)
class Picture:
    """A picture file, or a part of one.

    `part` is `(top, left, side)` as fractions of the picture's height, width and of both: the
    whole picture when None. `label` is the class name where it is known, or several with `|`
    between them; an empty one says that none holds.
    """

    path: Path
    label: str | None = None
    part: tuple[float, float, float] | None = None

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
    """A picture file as BGR uint8 `(height, width, 3)`, turned upright by its EXIF data."""
    cv2 = opencv()
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}.") from None
    frame = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if frame is None:
        raise DataError(f"{path} is not a picture OpenCV can read (JPEG, PNG, WebP, ...).")
    return np.asarray(frame, np.uint8)


def list_pictures(folder: Path) -> list[Path]:
    """Every picture file in a folder and below, sorted by path; raises `DataError` if none."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: name one that holds pictures.")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
    )
    if not found:
        raise DataError(f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))}).")
    return found


def matching_pictures(pattern: str) -> list[Path]:
    """Every picture file that a glob (`*`, `?`, `[...]`, `**`) matches, sorted; or `DataError`."""
    found = sorted(
        path
        for path in map(Path, glob.glob(pattern, recursive=True))
        if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    if not found:
        raise DataError(f"{pattern} matches no pictures ({', '.join(sorted(SUFFIXES))}).")
    return found


def labelled_pictures(source: Path) -> list[Picture]:
    """Pictures with their labels.

    `source` is a CSV file with the columns `file` and `label` (paths relative to the CSV), a
    folder with such a `labels.csv`, or a folder with a subfolder for each class.
    """
    if source.is_file():
        return _from_csv(source)
    if (source / LABELS_CSV).is_file():
        return _from_csv(source / LABELS_CSV)
    found = [
        Picture(path, label=path.relative_to(source).parts[0])
        for path in list_pictures(source)
        if len(path.relative_to(source).parts) > 1
    ]
    if not found:
        raise DataError(
            f"{source} gives no labels: put the pictures in a subfolder for each class, or add a "
            f"{LABELS_CSV} with the columns file,label."
        )
    return found


def write_labels(folder: Path, rows: Sequence[tuple[str, str]]) -> None:
    """Write `labels.csv`: a row of file name and label for each picture."""
    with (folder / LABELS_CSV).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("file", "label"))
        writer.writerows(rows)


def _from_csv(path: Path) -> list[Picture]:
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        if not {"file", "label"} <= set(reader.fieldnames or ()):
            raise DataError(f"{path} needs the columns file,label in its first line.")
        found = [Picture(path.parent / row["file"], label=row["label"]) for row in reader]
    missing = [p.path for p in found if not p.path.is_file()]
    if missing:
        raise DataError(f"{path} names {len(missing)} missing files, the first {missing[0]}.")
    if not found:
        raise DataError(f"{path} lists no pictures.")
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
            names = [name.strip() for name in picture.label.split(SEVERAL)]
            each = [Picture(picture.path, name) for name in names if name]
            holds[class_indices(each, labels)] = True
        return found
    if head.kind == "binary" and len(labels) == 1:
        return np.array([picture.label == labels[0] for picture in pictures], np.int64)
    return np.array(class_indices(pictures, labels), np.int64)


def prepare(pictures: Sequence[Picture], preprocessing: Preprocessing) -> np.ndarray[Any, Any]:
    """All pictures as network input, uint8 `(count, height, width, channels)`."""
    preparer = FramePreparer(preprocessing)
    images = np.empty((len(pictures), *preprocessing.shape[1:]), np.uint8)
    for image, picture in zip(images, pictures, strict=True):
        image[...] = preparer(picture.read())[0]
    return images
