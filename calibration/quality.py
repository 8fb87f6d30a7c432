"""Doubts about calibration pictures, said before they set any range."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgecnn.errors import DataError
from edgecnn.opencv import opencv
from edgecnn.pictures import Picture

ENOUGH = 100
CONSTANT_DEVIATION = 3.0
DARK, BRIGHT = 20.0, 235.0
NOISE_CORRELATION = 0.2
NEAR_DUPLICATE_BITS = 3
SIDE = 64


def thumbnails(pictures: Sequence[Picture]) -> NDArray[np.uint8]:
    """Every picture at 64×64, grey, uint8 (count, 64, 64), for the checks below."""
    cv2 = opencv()
    found = np.empty((len(pictures), SIDE, SIDE), np.uint8)
    for thumbnail, picture in zip(found, pictures, strict=True):
        grey = cv2.cvtColor(picture.read(), cv2.COLOR_BGR2GRAY)
        # Neighbouring pixels tell noise from pictures, so nothing is averaged away here.
        thumbnail[...] = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    return found


def noise_like(picture: Picture) -> bool:
    """Whether neighbouring pixels know nothing of each other."""
    cv2 = opencv()
    grey = cv2.cvtColor(picture.read(), cv2.COLOR_BGR2GRAY).astype(np.float64)
    if grey.std() < CONSTANT_DEVIATION or min(grey.shape) < 8:
        return False
    right = np.corrcoef(grey[:, :-1].ravel(), grey[:, 1:].ravel())[0, 1]
    below = np.corrcoef(grey[:-1].ravel(), grey[1:].ravel())[0, 1]
    return bool(max(right, below) < NOISE_CORRELATION)


def flat(picture: Picture) -> bool:
    """Whether a picture shows one colour."""
    return bool(picture.read().std(axis=(0, 1)).max() < CONSTANT_DEVIATION)


def refuse_useless(pictures: Sequence[Picture]) -> None:
    """Raise `DataError` where more than half of the pictures are random pixels or one colour."""
    for what, check in (("are random noise", noise_like), ("show one flat colour", flat)):
        found = [picture for picture in pictures if check(picture)]
        if 2 * len(found) > len(pictures):
            raise DataError(
                f"{len(found)} of {len(pictures)} pictures {what}, {found[0].name} for one: "
                "ranges set by them fit no camera. Use real pictures."
            )


def doubts(pictures: Sequence[Picture]) -> list[str]:
    """What is questionable about a set, a line each; empty when nothing is."""
    small = thumbnails(pictures)
    mean, deviation = small.mean(axis=(1, 2)), small.std(axis=(1, 2))
    constant = deviation < CONSTANT_DEVIATION
    checks = {
        "show one flat colour": constant,
        "are nearly black": (mean < DARK) & ~constant,
        "are nearly white": (mean > BRIGHT) & ~constant,
        "look almost like another one": near_duplicates(small) & ~constant,
    }
    found = []
    if len(pictures) < ENOUGH:
        found.append(f"Only {len(pictures)} pictures: {ENOUGH} or more give safer ranges.")
    for what, hit in checks.items():
        if hit.any():
            example = pictures[int(np.flatnonzero(hit)[0])].name
            found.append(f"{int(hit.sum())} of {len(pictures)} pictures {what}: {example}.")
    return found


def near_duplicates(small: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which thumbnails nearly repeat an earlier one: difference hashes (8×8) a few bits apart."""
    coarse = small.reshape(-1, 8, SIDE // 8, 8, SIDE // 8).mean(axis=(2, 4))
    bits = np.diff(np.concatenate([coarse, coarse[:, :, :1]], axis=2), axis=2) > 0
    hashes = np.packbits(bits.reshape(len(small), -1), axis=1)
    repeats = np.zeros(len(small), bool)
    for index in range(1, len(small)):
        distance = np.bitwise_count(hashes[:index] ^ hashes[index]).sum(axis=1)
        repeats[index] = bool((distance <= NEAR_DUPLICATE_BITS).any())
    return repeats
