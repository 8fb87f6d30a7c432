"""Calibration sets: real pictures chosen to represent what the camera will see."""

from pathlib import Path
from typing import get_args

from edgecnn.arguments import at_least, one_of
from edgecnn.calibration.calibration_set import CalibrationSet, apart, split, write
from edgecnn.calibration.candidates import NOISE, candidates
from edgecnn.calibration.features import look, of_network
from edgecnn.calibration.quality import doubts, refuse_useless
from edgecnn.calibration.selection import Selection, select
from edgecnn.errors import DataError
from edgecnn.pictures import Picture, list_pictures

DEFAULT_COUNT = 200


def calibrate(
    source: str | Path,
    out: str | Path,
    *,
    count: int = DEFAULT_COUNT,
    select_by: Selection = "diverse",
    seed: int = 0,
    network: str | None = None,
    exclude: str | Path | None = None,
    skip_bad: bool = False,
) -> CalibrationSet:
    """Choose up to `count` pictures of a source and write them with a manifest to `out`.

    `source` is a folder, a checkpoint (its training pictures), a video, a camera or stream.
    `select_by`: `diverse` covers as different pictures as it can (of `network`'s features if
    given, else of their looks), `balanced` takes classes in turn, `random` draws. One picture in
    five of those chosen is held out for verification. `exclude` is the folder of an evaluation
    set: a picture that is also there is refused. Files in a folder that are no whole pictures
    raise, or are left out and counted in the manifest if `skip_bad`.

    Raises `DataError` for a source without pictures, random noise, copies of one picture, or a
    leak; `UnknownName` or `EdgeCnnError` for arguments out of range.
    """
    one_of("selection", select_by, get_args(Selection))
    at_least("count", count, 2)
    at_least("seed", seed, 0)
    source, out = str(source), Path(out)
    with candidates(source, count, seed, skip_bad=skip_bad) as found:
        if exclude is not None:
            _refuse_leak([*found.pictures, *found.separate], Path(exclude))
        features = look if network is None else of_network(network)
        chosen, coverage = select(found.pictures, count, select_by, seed, features)
        pictures = [found.pictures[index] for index in chosen]
        if source != NOISE:
            refuse_useless(pictures)
        if found.separate:
            used, held_out = apart(pictures, found.separate), found.separate
        else:
            used, held_out = split(pictures)
        details = {
            "selection": select_by,
            "seed": seed,
            "candidates": len(found.pictures),
            "coverage": coverage,
            "skipped": [path.name for path in found.skipped],
            "warnings": [*_left_out(found.skipped), *doubts(pictures)],
        }
        origin = f"{len(used)} of {len(found.pictures)} {found.origin}, {select_by}"
        return write(out, used, held_out, origin=origin, details=details)


def _left_out(files: tuple[Path, ...]) -> list[str]:
    names = ", ".join(path.name for path in files)
    return [f"Left out {len(files)} files that are no whole pictures: {names}."] if files else []


def _refuse_leak(pictures: list[Picture], evaluation: Path) -> None:
    kept_apart = {Picture(path).sha256 for path in list_pictures(evaluation)}
    leaked = [picture.name for picture in pictures if picture.sha256 in kept_apart]
    if leaked:
        raise DataError(
            f"{len(leaked)} pictures are also in {evaluation}, {leaked[0]} for one: pictures that "
            "judge the network must not calibrate it."
        )


__all__ = ["DEFAULT_COUNT", "CalibrationSet", "calibrate"]
