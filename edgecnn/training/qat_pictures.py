"""The pictures of quantisation-aware training, which may have labels or not."""

from pathlib import Path

import numpy as np

from edgecnn.calibration import calibration_set
from edgecnn.calibration.calibration_set import MANIFEST, CalibrationSet
from edgecnn.checkpoint import CALIBRATION
from edgecnn.data import Dataset, Split, open_source
from edgecnn.data.dataset import FileFrames
from edgecnn.data.splitting import Shares, divide
from edgecnn.errors import DataError
from edgecnn.export.calibration_choice import calibration_set as chosen_set
from edgecnn.export.network import Network
from edgecnn.export.progress import ExportProgress
from edgecnn.labels_csv import LABELS_CSV
from edgecnn.picture_files import subfolders
from edgecnn.pictures import Picture
from edgecnn.training.calibration_pictures import write_calibration
from edgecnn.training.settings import Settings

FEWEST = 10
UNLABELLED = ("picture",)
KEPT_APART = Shares(0.9, 0.1, 0.0)
"""Of pictures without labels: to train on, and to choose the best epoch with."""


def has_labels(source: str) -> bool:
    """Whether a source says what its pictures show: all do but a folder of bare pictures."""
    folder = Path(source).expanduser()
    if (folder / MANIFEST).is_file():
        return False
    return not folder.is_dir() or (folder / LABELS_CSV).is_file() or bool(subfolders(folder))


def write_pictures(run: Path, source: str, settings: Settings, network: Network) -> CalibrationSet:
    """Write the run's `calibration/`: what the start is made of, and what export verifies with.

    Of a folder without labels that is all of it.
    """
    if has_labels(source):
        return write_calibration(run, open_labelled(source, settings), settings.seed)
    folder, checkpoint = Path(source).expanduser(), network.checkpoint
    own = checkpoint is not None and folder.resolve() == checkpoint.calibration.resolve()
    found = chosen_set(None if own else folder, network, ExportProgress())
    if len(found.pictures) < FEWEST:
        raise DataError(
            f"{source} holds {len(found.pictures)} pictures to train on: give a hundred or more."
        )
    return calibration_set.write(
        *(run / CALIBRATION, found.pictures, found.held_out), origin=found.origin, details={}
    )


def open_pictures(run: Path, source: str, settings: Settings) -> Dataset:
    """The pictures of a run that has its `calibration/`, in three splits.

    Those without labels are all of one class; the held-out ones are the test.
    """
    if has_labels(source):
        return open_labelled(source, settings)
    found = CalibrationSet.load(run / CALIBRATION)
    train, val, _ = divide(_split(found.pictures), KEPT_APART, settings.split_seed)
    return Dataset(source, UNLABELLED, train, val, _split(found.held_out))


def open_labelled(source: str, settings: Settings) -> Dataset:
    """See `open_source`."""
    return open_source(
        source,
        split=settings.split,
        split_seed=settings.split_seed,
        skip_bad=settings.skip_bad,
    )


def _split(pictures: tuple[Picture, ...]) -> Split:
    return Split(FileFrames(pictures), np.zeros(len(pictures), np.int64))
