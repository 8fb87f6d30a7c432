"""The run's own pictures that export calibrates and verifies with."""

import tempfile
from pathlib import Path

import numpy as np

from edgecnn.calibration import calibration_set
from edgecnn.checkpoint import CALIBRATION
from edgecnn.data import Dataset, Split
from edgecnn.pictures import Picture

CALIBRATION_COUNT = 160
HELD_OUT_COUNT = 500
"""Enough for what is promised of a bundle's answers to be worth something: see `docs/answers.md`.
"""


def write_calibration(run: Path, dataset: Dataset, seed: int) -> calibration_set.CalibrationSet:
    """Write `calibration/`: pictures of train, and held-out ones of val.

    Not of test: export fits to them what the network's probabilities mean, and `evaluate` judges
    that on test.
    Each class is sampled alike, as far as it has pictures. A picture of train that is also held
    out, in splits that the source brought along, is not calibrated with.
    """
    held_out = dataset.val if len(dataset.val) else dataset.test
    with tempfile.TemporaryDirectory(prefix=".pictures-", dir=run) as folder:
        kept_back = _sample(held_out, HELD_OUT_COUNT, dataset.labels, seed, Path(folder))
        train = _without(dataset.train, held_out)
        pictures = _sample(train, CALIBRATION_COUNT, dataset.labels, seed, Path(folder))
        return calibration_set.write(
            run / CALIBRATION,
            *((pictures, kept_back) if pictures else calibration_set.split(kept_back)),
            origin=f"training pictures of {dataset.source}",
            details={"selection": "balanced", "seed": seed},
        )


def _without(split: Split, other: Split) -> Split:
    found = set(other.digests)
    return split.take([i for i, digest in enumerate(split.digests) if digest not in found])


def _sample(
    split: Split, count: int, labels: tuple[str, ...], seed: int, folder: Path
) -> list[Picture]:
    order = np.random.default_rng(seed).permutation(len(split))
    # Rank of each picture within its class: taking the lowest ranks first takes turns.
    rank = np.empty(len(split), np.int64)
    for target in range(len(labels)):
        members = order[split.targets[order] == target]
        rank[members] = np.arange(len(members))
    chosen = order[np.argsort(rank[order], kind="stable")][:count]
    targets = split.targets
    return [split.frames.as_picture(i, labels[targets[i]], folder) for i in chosen.tolist()]
