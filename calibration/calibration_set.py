"""A calibration set: pictures and the manifest that says where they came from."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from edgecnn import strict_json
from edgecnn.atomic import atomic_folder
from edgecnn.calibration.quality import refuse_useless
from edgecnn.errors import UNREADABLE, DataError
from edgecnn.pictures import Picture, list_pictures
from edgecnn.shell import typed
from edgecnn.whole_pictures import broken, refuse

SCHEMA = 1
MANIFEST = "calibration.json"
HELD_OUT_SHARE = 5
"""One picture in this many is kept from calibration, to verify the result with."""


@dataclass(frozen=True)
class CalibrationSet:
    """Pictures that represent what the camera will see.

    `pictures` set the ranges; `held_out` are never shown to calibration and verify its result.
    """

    name: str
    pictures: tuple[Picture, ...]
    held_out: tuple[Picture, ...]
    origin: str
    """What it was chosen from and how, for reports."""
    representative: bool = True
    """False for the default set, which knows nothing of the user's camera."""

    @property
    def sha256(self) -> str:
        """Hash over the hashes of the calibration pictures, in order."""
        digest = hashlib.sha256()
        for picture in self.pictures:
            digest.update(bytes.fromhex(picture.sha256))
        return digest.hexdigest()

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `write` wrote, or take any folder of pictures as it is.

        Raises `DataError` for a missing or empty folder, for pictures that are broken, of nothing
        (noise, flat colours) or all the same, and for a changed or missing picture.
        """
        manifest_file = folder / MANIFEST
        if not manifest_file.is_file():
            pictures = [Picture(path) for path in list_pictures(folder)]
            command = typed("edgecnn", "calibrate", folder, "--out", "SET", "--skip-bad")
            refuse(
                broken(pictures),
                folder,
                f"choose among the others with `{command}` and give that SET",
            )
            refuse_useless(pictures)
            used, held_out = split(pictures)
            return cls(folder.name, used, held_out, origin=f"all pictures of {folder.name}")
        try:
            manifest = strict_json.read(manifest_file)
            strict_json.typed(manifest, name=str, origin=str)
            entries = manifest["pictures"]
            parts: dict[bool, list[Picture]] = {False: [], True: []}
            for entry in entries:
                strict_json.typed(entry, file=str, sha256=str, held_out=bool)
                if "/" in entry["file"]:
                    raise ValueError(f"{entry['file']!a} is outside the set")
                picture = Picture(folder / entry["file"], label=entry.get("label"))
                if not picture.path.is_file() or picture.sha256 != entry["sha256"]:
                    raise DataError(
                        f"{picture.path} is missing or was changed since the calibration set was "
                        "made: run `edgecnn calibrate` again."
                    )
                parts[bool(entry.get("held_out"))].append(picture)
            if not parts[False]:
                raise DataError(
                    f"{folder} holds no pictures to calibrate with, only held-out ones: run "
                    "`edgecnn calibrate` again."
                )
            return cls(
                manifest["name"],
                apart(parts[False], parts[True]),
                tuple(parts[True]),
                manifest["origin"],
            )
        except UNREADABLE as error:
            raise DataError(
                f"{manifest_file} is not readable: {error!r}. Run `edgecnn calibrate` again."
            ) from None


def split(pictures: Sequence[Picture]) -> tuple[tuple[Picture, ...], tuple[Picture, ...]]:
    """Pictures to calibrate with, and one in five to verify with, picked by hash.

    Copies of a picture stay on one side. A single picture can only calibrate. Raises `DataError`
    where several are all the same one.
    """
    if len(pictures) < 2:
        return tuple(pictures), ()
    different = sorted({picture.sha256 for picture in pictures})
    if len(different) < 2:
        raise DataError(
            f"All {len(pictures)} pictures are copies of one, {pictures[0].name}: give at least "
            "two different ones, better a hundred, since one must be held out to verify with."
        )
    kept_back = set(different[: max(1, len(different) // HELD_OUT_SHARE)])
    return (
        tuple(p for p in pictures if p.sha256 not in kept_back),
        tuple(p for p in pictures if p.sha256 in kept_back),
    )


def apart(pictures: Sequence[Picture], held_out: Sequence[Picture]) -> tuple[Picture, ...]:
    """Those of the pictures that are not held out too, as another file of the same bytes.

    Raises `DataError` where that leaves none.
    """
    kept_back = {picture.sha256 for picture in held_out}
    left = tuple(picture for picture in pictures if picture.sha256 not in kept_back)
    if pictures and not left:
        raise DataError(
            f"Every picture to calibrate with is also held out to verify with, {pictures[0].name} "
            "for one: give pictures that differ."
        )
    return left


def write(
    folder: Path,
    pictures: Sequence[Picture],
    held_out: Sequence[Picture],
    *,
    origin: str,
    details: dict[str, Any],
) -> CalibrationSet:
    """Copy the pictures into a folder with a manifest; the folder appears whole or not at all.

    `details` (selection, seed, coverage, warnings) stand in the manifest as given.
    """
    with atomic_folder(folder, replaces=MANIFEST) as work:
        entries: list[dict[str, Any]] = []
        for kept_back, group in ((False, pictures), (True, held_out)):
            for picture in group:
                # The hash in the name keeps two pictures of one name apart.
                name = f"{picture.path.stem}-{picture.sha256[:8]}{picture.path.suffix.lower()}"
                shutil.copyfile(picture.path, work / name)
                entry: dict[str, Any] = {
                    "file": name,
                    "sha256": picture.sha256,
                    "held_out": kept_back,
                }
                if picture.label is not None:
                    entry["label"] = picture.label
                entries.append(entry)
        manifest = {
            "schema": SCHEMA,
            "name": folder.name,
            "origin": origin,
            "count": len(pictures),
            "held_out": len(held_out),
            **details,
            "pictures": entries,
        }
        (work / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return CalibrationSet.load(folder)
