"""Labels in the forms that other tools take and give, for the frames of an inbox.

| format | what is written and read |
|---|---|
| `folder` | a folder with a subfolder for each class, with copies of the pictures |
| `csv` | `file,label` |
| `coco` | COCO's JSON: categories, and for each picture an annotation over all of it |
| `label-studio` | Label Studio's JSON: a task for each picture, with the answer as prediction |

Pictures are known by their names, which are their hashes; of `folder` by their bytes. What people
disagree about is not written.
"""

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecnn import inbox, labels_csv, strict_json
from edgecnn.errors import DataError
from edgecnn.inbox import DIGITS, Kept
from edgecnn.labelling.labels import Labels
from edgecnn.labels_csv import NONE_OF_MINE
from edgecnn.picture_files import files_below, subfolders
from edgecnn.pictures import SEVERAL, Picture, read_picture

NAME = re.compile(rf"(?<![0-9a-f])([0-9a-f]{{{DIGITS}}})[._](jpg|png)(?![0-9a-zA-Z])")
"""In whatever another tool made of a picture's name: a path, an address, `..._jpg.rf.0a1b.jpg`."""
Given = Iterator[tuple[str, str]]
"""Names of pictures and their labels."""


@dataclass(frozen=True)
class Labelled:
    """A frame and what all agree that it shows."""

    picture: Path
    kept: Kept
    label: str


@dataclass(frozen=True)
class Format:
    """How labels are written to a path, and read from one."""

    write: Callable[[Path, Sequence[Labelled]], None]
    read: Callable[[Path], Given]


def write(kind: str, path: Path, folder: Path) -> int:
    """Write what all agree on; how many frames. Raises `DataError` where the path is taken."""
    if path.exists():
        raise DataError(f"{path} is there already: choose another name.")
    frames = inbox.read(folder)
    labels = Labels(folder, frames)
    labels.close()
    found = [
        Labelled(folder / kept.file, kept, truth)
        for kept in frames
        if (truth := labels.truth(kept.file)) is not None
    ]
    if not found:
        raise DataError(f"{folder} has no labels yet: give it some first.")
    try:
        FORMATS[kind].write(path, found)
    except BaseException as error:
        # What is half there would be in the way of the next try.
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise DataError(f"Cannot write {path}: {error.strerror}.") from None
        raise
    return len(found)


def read(kind: str, path: Path, folder: Path, by: str) -> tuple[int, int]:
    """Take labels as one person's: how many frames, and how many pictures are not of the inbox.

    Raises `DataError` for what is no such file, or has nothing of this inbox.
    """
    frames = inbox.read(folder)
    known = {Path(kept.file).name: kept.file for kept in frames}
    found: dict[str, str] = {}
    strangers = 0
    for name, label in FORMATS[kind].read(path):
        mine = NAME.search(name)
        file = known.get(".".join(mine.groups())) if mine else None
        if file is None:
            strangers += 1
        elif found.setdefault(file, label) != label:
            raise DataError(f"{path} gives {name} two labels: {label} and {found[file]}.")
    if not found:
        raise DataError(f"{path} has no label of a frame of {folder}.")
    labels = Labels(folder, frames)
    try:
        labels.take(found, by)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    finally:
        labels.close()
    return len(found), strangers


def _write_folder(path: Path, found: Sequence[Labelled]) -> None:
    for one in found:
        if one.label == NONE_OF_MINE:
            continue
        if "/" in one.label or one.label.startswith("."):
            raise DataError(f"'{one.label}' can be no folder's name: export csv instead.")
        (path / one.label).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(one.picture, path / one.label / one.picture.name)


def _read_folder(path: Path) -> Given:
    if not path.is_dir():
        raise DataError(f"{path} is no folder: name one with a subfolder for each class.")
    for each in subfolders(path):
        for file in sorted(files_below(each)):
            sha256 = Picture(file).sha256
            yield f"{sha256[:DIGITS]}{file.suffix.lower().replace('.jpeg', '.jpg')}", each.name


def _write_csv(path: Path, found: Sequence[Labelled]) -> None:
    labels_csv.write(path, [(one.kept.file, one.label) for one in found])


def _read_csv(path: Path) -> Given:
    for row in labels_csv.rows(path):
        if not row.file or not row.label:
            raise DataError(f"{path}, line {row.line}: file or label is empty.")
        yield row.file, row.label


def _write_coco(path: Path, found: Sequence[Labelled]) -> None:
    names = sorted({name for one in found for name in one.label.split(SEVERAL)})
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, one in enumerate(found, 1):
        height, width = read_picture(one.picture).shape[:2]
        size = {"width": width, "height": height}
        images.append({"id": number, "file_name": one.kept.file, **size})
        for name in one.label.split(SEVERAL):
            box = {"bbox": [0, 0, width, height], "area": width * height, "iscrowd": 0}
            of = {"image_id": number, "category_id": names.index(name) + 1}
            annotations.append({"id": len(annotations) + 1, **of, **box})
    categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    whole = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(whole, ensure_ascii=False, indent=1), encoding="utf-8")


def _read_coco(path: Path) -> Given:
    found = _json(path)
    try:
        names = {one["id"]: _text(one["name"]) for one in found["categories"]}
        of: dict[Any, list[str]] = defaultdict(list)
        for one in found["annotations"]:
            of[one["image_id"]].append(names[one["category_id"]])
        # Boxes of one class are one label of the picture.
        given = [
            (_text(one["file_name"]), SEVERAL.join(dict.fromkeys(of[one["id"]])))
            for one in found["images"]
            if of[one["id"]]
        ]
    except (KeyError, TypeError) as error:
        raise DataError(f"{path} is no COCO file: {error!r}.") from None
    yield from given


def _write_label_studio(path: Path, found: Sequence[Labelled]) -> None:
    tasks = [
        {
            "data": {"image": f"/data/local-files/?d={one.kept.file}"},
            "annotations": [{"result": [_choice(one.label)]}],
            "predictions": [
                {
                    "model_version": one.kept.bundle,
                    "score": one.kept.probability,
                    "result": [_choice(one.kept.label)],
                }
            ],
        }
        for one in found
    ]
    path.write_text(json.dumps(tasks, ensure_ascii=False, indent=1), encoding="utf-8")


def _choice(label: str) -> dict[str, Any]:
    return {
        "from_name": "choice",
        "to_name": "image",
        "type": "choices",
        "value": {"choices": label.split(SEVERAL)},
    }


def _read_label_studio(path: Path) -> Given:
    tasks = _json(path)
    try:
        given = [
            (_text(task["data"]["image"]), SEVERAL.join(_texts(result["value"]["choices"])))
            for task in tasks
            for annotation in task["annotations"][-1:]
            for result in annotation["result"]
            if result["type"] == "choices"
        ]
    except (KeyError, TypeError) as error:
        raise DataError(f"{path} is no export of Label Studio with choices: {error!r}.") from None
    yield from given


def _text(found: Any) -> str:
    if not isinstance(found, str):
        raise TypeError(f"a name is {found!r:.40}")
    return found


def _texts(found: Any) -> list[str]:
    if not isinstance(found, list):
        raise TypeError(f"choices are {found!r:.40}")
    return [_text(one) for one in found]


def _json(path: Path) -> Any:
    try:
        return strict_json.read(path)
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}.") from None
    except ValueError as error:
        raise DataError(f"{path} is not readable JSON: {error}.") from None


FORMATS = {
    "folder": Format(_write_folder, _read_folder),
    "csv": Format(_write_csv, _read_csv),
    "coco": Format(_write_coco, _read_coco),
    "label-studio": Format(_write_label_studio, _read_label_studio),
}
