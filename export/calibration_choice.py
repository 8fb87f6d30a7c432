"""Which pictures an export calibrates and verifies with."""

from dataclasses import replace
from pathlib import Path

from edgecnn.calibration.calibration_set import CalibrationSet, apart
from edgecnn.errors import DataError
from edgecnn.export.network import Network
from edgecnn.export.progress import ExportProgress
from edgecnn.pictures import labelled_pictures

MINIMUM_PICTURES = 2
FEW_PICTURES = 20


def calibration_set(
    calibration: Path | str | CalibrationSet | None,
    network: Network,
    progress: ExportProgress,
    held_out: Path | str | None = None,
) -> CalibrationSet:
    """The set given, else the checkpoint's own, else the default photographs, with a note.

    `held_out`, labelled pictures, takes the place of those that the set brings along.

    Raises `DataError` for too few pictures or a leak between calibration and verification.
    """
    if isinstance(calibration, CalibrationSet):
        found = calibration
    elif calibration is not None and not isinstance(calibration, str | Path):
        raise DataError(f"calibration is a folder of pictures, not a {type(calibration).__name__}.")
    elif calibration is not None:
        found = CalibrationSet.load(Path(calibration))
        if network.checkpoint is not None:
            found = _verified_with(CalibrationSet.load(network.checkpoint.calibration), found)
    elif network.checkpoint is not None:
        found = CalibrationSet.load(network.checkpoint.calibration)
    else:
        from edgecnn.calibration.default import default_calibration

        found = default_calibration()
        progress.note(
            f"No --calibration: using {len(found.pictures)} crops of {found.origin}. They do not "
            "represent your camera: give pictures it took with --calibration DIR."
        )
    if held_out is not None:
        found = replace(found, held_out=tuple(labelled_pictures(Path(held_out))))
    count = len(found.pictures) + len(found.held_out)
    if count < MINIMUM_PICTURES:
        raise DataError(
            f"The calibration set {found.name} holds {count} picture(s): one must be held out to "
            "verify with, so give at least two, better a hundred."
        )
    if not (found.pictures and found.held_out):
        lacks = "held out to verify with" if found.pictures else "to calibrate with"
        raise DataError(
            f"The calibration set {found.name} holds {count} pictures, and none {lacks}: make it "
            "again with `edgecnn calibrate`."
        )
    found = replace(found, pictures=apart(found.pictures, found.held_out))
    if len(found.pictures) < FEW_PICTURES and found.representative:
        progress.note(
            f"Only {len(found.pictures)} calibration pictures: a hundred that cover what the "
            "camera will see give safer ranges."
        )
    return found


def _verified_with(own: CalibrationSet, given: CalibrationSet) -> CalibrationSet:
    """The calibration set given, verified with what the training run held out: it has labels.

    Raises `DataError` where a picture would judge the network that it calibrates.
    """
    kept_apart = {picture.sha256 for picture in own.held_out}
    used = (*given.pictures, *given.held_out) if own.held_out else given.pictures
    leaked = [picture.name for picture in used if picture.sha256 in kept_apart]
    if leaked:
        raise DataError(
            f"{len(leaked)} pictures of {given.name} are evaluation pictures of the training run, "
            f"{leaked[0]} for one: leave them out."
        )
    return replace(given, pictures=used, held_out=own.held_out or given.held_out)
