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
from edgecnn.pictures import Picture, list_pictures, listed_pictures, pictures_by_class
from edgecnn.whole_pictures import broken, refuse

NOISE = "noise"
NOISE_SIDE = 256


@dataclass(frozen=True)
class Candidates:
    """Pictures to choose from; `separate` are already known to be for verification."""

    pictures: tuple[Picture, ...]
    origin: str
    separate: tuple[Picture, ...] = ()
    skipped: tuple[Path, ...] = ()
    """Files left out because they are no whole pictures."""


@contextmanager
def candidates(
    source: str, count: int, seed: int, *, skip_bad: bool = False
) -> Iterator[Candidates]:
    """The pictures of a source, valid while the context is open.

    `source` is a folder of pictures (subfolders are classes), a checkpoint, whose training
    pictures are taken, a video, a camera or stream URI, or `noise`: random pixels, for tests of
    the tools only. A file in a folder that is no whole picture is left out if `skip_bad`. Raises
    `DataError` or `SourceError`.
    """
    path = Path(source)
    if (path / MANIFEST).is_file():
        from edgecnn.calibration.calibration_set import CalibrationSet

        own = CalibrationSet.load(path / CALIBRATION)
        yield Candidates(own.pictures, own.origin, own.held_out)
    elif path.is_dir():
        pictures = _in_folder(path)
        bad = broken(pictures)
        if not skip_bad:
            refuse(bad, path, "leave them out with --skip-bad")
        whole = tuple(picture for picture in pictures if picture.path not in set(bad))
        if not whole:
            raise DataError(f"{path} holds no whole picture, but {len(bad)} broken ones.")
        yield Candidates(whole, f"pictures of {path.resolve().name}", skipped=tuple(bad))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            frames = _noise(count, seed) if source == NOISE else _frames(source, count)
            yield Candidates(tuple(_kept(frames, Path(scratch))), f"frames of {path.name}")


def _in_folder(folder: Path) -> list[Picture]:
    if listed := listed_pictures(folder):
        return listed
    files = list_pictures(folder)
    if all(path.parent != folder for path in files):
        return pictures_by_class(folder, files)
    return [Picture(path) for path in files]


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
    from edgecnn.targets.live.sources import open_frames

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
