"""Which files in a folder are pictures, which are litter, and which nobody here can read."""

import glob
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edgecnn.errors import DataError
from edgecnn.opencv import build_has

log = logging.getLogger(__name__)

BUILT_IN = {".gif": "GIF", ".avif": "AVIF"}
"""Suffixes that only newer builds of OpenCV read, with the name of the feature."""
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff", *BUILT_IN}
)
HEIC = frozenset({".heic", ".heif", ".hif"})
UNREADABLE = HEIC | {".jxl", ".dng", ".arw", ".cr2", ".cr3", ".nef", ".orf", ".raf", ".rw2"}
"""Pictures to those who took them, by phones and cameras: no OpenCV decodes them."""
LITTER = frozenset(
    {
        *("__macosx", "@eadir", "@recycle", "#recycle", "$recycle.bin", "lost+found"),
        *("system volume information", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
    }
)
"""What systems, file managers and network drives leave behind without hiding it."""
CONVERT = (
    "convert them to JPEG (`magick mogrify -format jpg FILES`; heif-convert for HEIC), or let the "
    "phone take JPEG (iPhone: Settings, Camera, Formats, Most Compatible)"
)
NAMED = 3


@dataclass(frozen=True)
class Found:
    """Picture files, and those that would be if OpenCV could read them; each sorted by path."""

    pictures: tuple[Path, ...]
    unreadable: tuple[Path, ...]

    def tell(self) -> None:
        """Say on the log what is left out."""
        if self.unreadable:
            log.warning("edgecnn: left out: %s.", unreadable_text(self.unreadable))


def is_litter(name: str) -> bool:
    """Whether a file or folder of that name is hidden or left behind by a program."""
    return name.startswith(".") or name.lower() in LITTER


def is_unreadable(path: Path) -> bool:
    """Whether a file's name says that it is a picture which the OpenCV here cannot read."""
    suffix = path.suffix.lower()
    return suffix in UNREADABLE or (suffix in BUILT_IN and not build_has(BUILT_IN[suffix]))


def is_picture(path: Path) -> bool:
    """Whether a file's name says that it is a picture which the OpenCV here reads."""
    return path.suffix.lower() in SUFFIXES and not is_unreadable(path)


def not_read_here(path: Path, kind: str) -> str:
    """What to say of one such file."""
    return f"{path} is {kind}, which OpenCV does not read here: {CONVERT}."


def unreadable_text(files: Iterable[Path]) -> str:
    """How many such files of which kind there are, the first by name, and the way out."""
    files = tuple(files)
    kinds = sorted({file.suffix.lstrip(".").upper() for file in files})
    more = ", ..." if len(files) > NAMED else ""
    return (
        f"{len(files)} {' and '.join(kinds)} {'picture' if len(files) == 1 else 'pictures'}, which "
        f"OpenCV does not read here ({', '.join(file.name for file in files[:NAMED])}{more}): "
        f"{CONVERT}"
    )


def files_below(folder: Path) -> Iterator[Path]:
    """Every file in a folder and below that is no litter, nor in a folder of litter."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not is_litter(name)]
        yield from (Path(parent, name) for name in files if not is_litter(name))


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder that are no litter, sorted."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_litter(path.name))


def find_pictures(folder: Path) -> Found:
    """The pictures in a folder and below; raises `DataError` if there are none."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: name one that holds pictures.")
    return _found(files_below(folder), f"{folder} holds no pictures")


def matching(pattern: str) -> Found:
    """The pictures that a glob (`*`, `?`, `[...]`, `**`) matches; raises `DataError` if none."""
    fixed = []
    for part in Path(pattern).parts:
        if glob.has_magic(part):
            break
        fixed.append(part)
    # What the user spelt out is wanted; what a wildcard found may be litter.
    files = (
        path
        for path in map(Path, glob.glob(pattern, recursive=True))
        if not any(map(is_litter, path.parts[len(fixed) :]))
    )
    return _found(files, f"{pattern} matches no pictures")


def _found(files: Iterable[Path], nothing: str) -> Found:
    files = sorted(path for path in files if path.is_file())
    found = Found(tuple(filter(is_picture, files)), tuple(filter(is_unreadable, files)))
    if found.unreadable and not found.pictures:
        raise DataError(f"{nothing} but {unreadable_text(found.unreadable)}.")
    if not found.pictures:
        raise DataError(f"{nothing} ({', '.join(sorted(SUFFIXES))}).")
    return found
