"""What a calibration set can be chosen from."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecnn.checkpoint import CALIBRATION, MANIFEST
from edgecnn.errors import DataError
from edgecnn.opencv import opencv
from edgecnn.pictures import LABELS_CSV, Picture, labelled_pictures, list_pictures

NOISE = "noise"
NOISE_SIDE = 256


@dataclass(frozen=True)
class Candidates:
    """Pictures to choose from; `separate` are already known to be for verification."""

    pictures: tuple[Picture, ...]
    origin: str
    separate: tuple[Picture, ...] = ()


@contextmanager
def candidates(source: str, count: int, seed: int) -> Iterator[Candidates]:
    """The pictures of a source, valid while the context is open.

    `source` is a folder of pictures (subfolders are classes), a checkpoint, whose training
    pictures are taken, a video, a camera or stream URI, or `noise`: random pixels, for tests of
    the tools only. Raises `DataError` or `SourceError`.
    """
    path = Path(source)
    if (path / MANIFEST).is_file():
        from edgecnn.calibration.calibration_set import CalibrationSet

        own = CalibrationSet.load(path / CALIBRATION)
        yield Candidates(own.pictures, own.origin, own.held_out)
    elif path.is_dir():
        yield Candidates(tuple(_in_folder(path)), f"pictures of {path.name}")
    else:
        with tempfile.TemporaryDirectory() as scratch:
            frames = _noise(count, seed) if source == NOISE else _frames(source, count)
            yield Candidates(tuple(_kept(frames, Path(scratch))), f"frames of {path.name}")


def _in_folder(folder: Path) -> list[Picture]:
    pictures = list_pictures(folder)
    nested = all(path.parent != folder for path in pictures)
    if nested or (folder / LABELS_CSV).is_file():
        return labelled_pictures(folder)
    return [Picture(path) for path in pictures]


def _kept(frames: Iterator[np.ndarray], folder: Path) -> Iterator[Picture]:
    cv2 = opencv()
    for index, frame in enumerate(frames):
        path = folder / f"frame{index:06d}.png"
        if not cv2.imwrite(str(path), frame):
            raise DataError(f"Cannot write {path}: is the disk full?")
        yield Picture(path)


def _frames(source: str, count: int) -> Iterator[np.ndarray]:
    """Frames spread over a file, or caught from a live source one after another.

    Neighbouring video frames are alike, so every n-th is kept, and n doubles whenever four times
    as many as asked for have been kept: the choice among them is made later.
    """
    from edgecnn.targets.sources import open_frames

    stream = open_frames(source)
    kept: list[np.ndarray] = []
    step, index = 1, 0
    try:
        while (captured := stream.read()) is not None:
            if index % step == 0:
                kept.append(captured.image.copy())
            index += 1
            if stream.live and len(kept) >= count:
                break
            if len(kept) >= 4 * count:
                kept, step = kept[::2], step * 2
    finally:
        stream.close()
    if not kept:
        raise DataError(f"{source} gave no frame.")
    yield from kept


def _noise(count: int, seed: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield rng.integers(0, 256, (NOISE_SIDE, NOISE_SIDE, 3), np.uint8)
