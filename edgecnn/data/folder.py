"""Pictures in folders: a subfolder for each class, or train, val and test with such subfolders."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from edgecnn.data.dataset import FileFrames, Split
from edgecnn.data.source import WHOLE, Source
from edgecnn.errors import DataError
from edgecnn.pictures import LABELS_CSV, SUFFIXES, Picture, class_indices, labelled_pictures

SPLIT_FOLDERS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
LITTER = frozenset({"thumbs.db", "desktop.ini"})
"""Files that file managers leave behind."""


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
        pictures[name] = labelled_pictures(folder)
        classes[name] = {p.label or "" for p in pictures[name]} | _subfolders(folder)
        bad = _strangers(folder) + _broken(pictures[name])
        if bad and not skip_bad:
            listed = ", ".join(os.path.relpath(file, path) for file in bad[:5])
            raise DataError(
                f"{len(bad)} files in {path} are no whole pictures: {listed}"
                f"{', ...' if len(bad) > 5 else ''}. Repair or remove them, or leave them out "
                "with --skip-bad."
            )
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


def _subfolders(folder: Path) -> set[str]:
    if not folder.is_dir() or (folder / LABELS_CSV).is_file():
        return set()
    return {p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")}


def _strangers(folder: Path) -> list[Path]:
    """Files among a class's pictures that are of another kind."""
    if not folder.is_dir() or (folder / LABELS_CSV).is_file():
        return []
    return sorted(
        path
        for path in folder.glob("*/**/*")
        if path.is_file()
        and path.suffix.lower() not in SUFFIXES
        and not path.name.startswith(".")
        and path.name.lower() not in LITTER
    )


def _broken(pictures: Sequence[Picture]) -> list[Path]:
    def broken(picture: Picture) -> bool:
        try:
            data = picture.path.read_bytes()
            picture.read()
        except DataError:
            return True
        return data.startswith(b"\xff\xd8") and not _jpeg_has_end(data)

    with ThreadPoolExecutor() as pool:
        verdicts = list(pool.map(broken, pictures))
    return [p.path for p, bad in zip(pictures, verdicts, strict=True) if bad]


def _jpeg_has_end(data: bytes) -> bool:
    """Whether the picture's own end marker is there: OpenCV paints what is missing grey.

    Segments are walked, because the thumbnail inside one has an end marker too.
    """
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        if data[at + 1] == 0xDA:  # start of scan: the pixels follow
            return b"\xff\xd9" in data[at:]
        if data[at + 1] == 0xFF:  # a fill byte
            at += 1
            continue
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False
