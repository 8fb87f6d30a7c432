"""Which picture files are broken or half there, found before anything is made of them."""

import os
from collections.abc import Sequence
from pathlib import Path

from edgecnn.errors import DataError
from edgecnn.parallel import in_order
from edgecnn.picture_files import CONVERT, is_unreadable
from edgecnn.pictures import Picture, undecoded

NAMED = 5


def broken(pictures: Sequence[Picture]) -> list[Path]:
    """The files that are no whole picture; each is opened."""

    def is_broken(picture: Picture) -> bool:
        try:
            data = picture.path.read_bytes()
            picture.read()
        except (DataError, OSError):
            return True
        return data.startswith(b"\xff\xd8") and not _jpeg_has_end(data)

    verdicts = in_order(is_broken, pictures, ahead=4)
    return [p.path for p, bad in zip(pictures, verdicts, strict=True) if bad]


def refuse(files: Sequence[Path], folder: Path, leave_out: str) -> None:
    """Raise `DataError` that names files which are no whole pictures; nothing where none are.

    `leave_out` says how to go on without them.
    """
    if not files:
        return
    listed = ", ".join(os.path.relpath(file, folder) for file in files[:NAMED])
    foreign = any(is_unreadable(file) or _undecoded(file) for file in files)
    hint = f" OpenCV does not read HEIC and the like here: {CONVERT}." if foreign else ""
    raise DataError(
        f"{len(files)} files in {folder} are no whole pictures: {listed}"
        f"{', ...' if len(files) > NAMED else ''}.{hint} Repair or remove them, or {leave_out}."
    )


def _undecoded(file: Path) -> str | None:
    try:
        return undecoded(file.read_bytes())
    except OSError:
        return None


def _jpeg_has_end(data: bytes) -> bool:
    """Whether the picture's own end marker is there: OpenCV 4 paints what is missing grey.

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
