"""Pictures in folders: a subfolder for each class, or train, val and test with such subfolders."""

from pathlib import Path

import numpy as np

from edgecnn.data.dataset import FileFrames, Split
from edgecnn.data.source import WHOLE, Source
from edgecnn.errors import DataError
from edgecnn.inbox import is_inbox
from edgecnn.labels_csv import LABELS_CSV
from edgecnn.picture_files import files_below, find_pictures, is_picture, subfolders
from edgecnn.pictures import Picture, class_indices, listed_pictures, pictures_by_class
from edgecnn.whole_pictures import broken, refuse

SPLIT_FOLDERS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}


def read_folder(path: Path, *, skip_bad: bool) -> Source:
    """A folder of class subfolders, with or without splits, or a `labels.csv`.

    Every file is opened. Raises `DataError` that lists those which are no whole picture, or
    leaves them out and lists them in the result if `skip_bad`.
    """
    parts = _split_folders(path) or {WHOLE: path}
    skipped: list[Path] = []
    pictures: dict[str, list[Picture]] = {}
    classes: dict[str, set[str]] = {}
    for name, folder in parts.items():
        pictures[name] = _labelled(folder)
        classes[name] = {p.label or "" for p in pictures[name]} | _subfolders(folder)
        bad = _strangers(folder) + broken(pictures[name])
        if not skip_bad:
            refuse(bad, path, "leave them out with --skip-bad")
        skipped += bad
        pictures[name] = [p for p in pictures[name] if p.path not in set(bad)]
    # A class whose folder is empty, or all skipped, stays one: a check will say so.
    labels = sorted(classes["train" if "train" in classes else WHOLE])
    splits = {
        name: Split(FileFrames(tuple(found)), np.asarray(class_indices(found, labels), np.int64))
        for name, found in pictures.items()
    }
    return Source(tuple(labels), splits, tuple(skipped))


def _split_folders(path: Path) -> dict[str, Path]:
    """The folders of the splits; empty if the folder's subfolders are classes."""
    if not path.is_dir() or (path / LABELS_CSV).is_file():
        return {}
    found = {
        name: path / folder
        for name, spellings in SPLIT_FOLDERS.items()
        for folder in spellings
        if (path / folder).is_dir()
    }
    return found if "train" in found and len(found) > 1 else {}


def _labelled(folder: Path) -> list[Picture]:
    if is_inbox(folder) and not (folder / LABELS_CSV).is_file():
        raise DataError(f"{folder} holds kept frames without labels: label it first.")
    return listed_pictures(folder) or pictures_by_class(folder, find_pictures(folder).pictures)


def _subfolders(folder: Path) -> set[str]:
    if not folder.is_dir() or (folder / LABELS_CSV).is_file():
        return set()
    return {path.name for path in subfolders(folder)}


def _strangers(folder: Path) -> list[Path]:
    """Files among a class's pictures that are of another kind."""
    if not folder.is_dir() or (folder / LABELS_CSV).is_file():
        return []
    return sorted(
        path
        for path in files_below(folder)
        if path.parent != folder and path.is_file() and not is_picture(path)
    )
