"""Choosing calibration pictures, on real ones."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.calibration import calibrate
from edgecnn.calibration.calibration_set import CalibrationSet, split
from edgecnn.calibration.selection import balanced, k_centre
from edgecnn.errors import DataError
from edgecnn.pictures import Picture


@pytest.fixture
def by_class(samples: Path, tmp_path: Path) -> Path:
    """Real small pictures in a subfolder for each data set they come from."""
    folder = tmp_path / "classes"
    for path in (samples / "small").iterdir():
        target = folder / path.name.split("_")[0]
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return folder


def manifest(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "calibration.json").read_text())
    return found


def test_a_folder_becomes_a_set_that_reads_back(samples: Path, tmp_path: Path) -> None:
    made = calibrate(samples / "photographs", tmp_path / "set", count=10, select_by="random")
    assert (len(made.pictures), len(made.held_out)) == (8, 2)
    read = CalibrationSet.load(tmp_path / "set")
    assert read == made
    assert read.sha256 == made.sha256
    assert manifest(tmp_path / "set")["selection"] == "random"


def test_the_same_seed_chooses_the_same_pictures(samples: Path, tmp_path: Path) -> None:
    sets = [
        calibrate(samples / "small", tmp_path / f"{i}", count=20, select_by="random", seed=seed)
        for i, seed in enumerate((1, 1, 2))
    ]
    assert sets[0].sha256 == sets[1].sha256 != sets[2].sha256


def test_nothing_is_calibrated_with_what_verifies(samples: Path, tmp_path: Path) -> None:
    made = calibrate(samples / "small", tmp_path / "set", count=40)
    used = {picture.sha256 for picture in made.pictures}
    assert not used & {picture.sha256 for picture in made.held_out}


def test_balanced_takes_every_class_alike(by_class: Path, tmp_path: Path) -> None:
    made = calibrate(by_class, tmp_path / "set", count=20, select_by="balanced")
    labels = [p.label for p in (*made.pictures, *made.held_out)]
    assert {labels.count(label) for label in set(labels)} == {5}


def test_balanced_without_classes_says_what_it_needs(samples: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs labels"):
        calibrate(samples / "small", tmp_path / "set", count=20, select_by="balanced")
    assert not (tmp_path / "set").exists()


def test_a_video_gives_frames_from_all_of_it(samples: Path, tmp_path: Path) -> None:
    made = calibrate(str(samples / "videos" / "bikes.mp4"), tmp_path / "set", count=30)
    numbers = sorted(
        int(picture.path.name.removeprefix("frame")[:6])
        for picture in (*made.pictures, *made.held_out)
    )
    assert len(numbers) == 30
    assert manifest(tmp_path / "set")["candidates"] >= 60  # type: ignore[operator]
    assert cv2.imread(str(made.pictures[0].path)).shape == (272, 640, 3)


def test_diverse_covers_more_than_the_first_pictures(samples: Path, tmp_path: Path) -> None:
    made = calibrate(samples / "small", tmp_path / "set", count=20, select_by="diverse")
    kinds = {p.path.name.split("_")[0] for p in (*made.pictures, *made.held_out)}
    assert kinds == {"cifar10", "cifar100", "mnist", "fashionMNIST"}


def test_noise_is_refused_and_taken_by_name_only(tmp_path: Path) -> None:
    made = calibrate("noise", tmp_path / "noise", count=10)
    assert len(made.pictures) == 8
    with pytest.raises(DataError, match="are random noise"):
        calibrate(tmp_path / "noise", tmp_path / "set", count=10)


def test_doubts_are_written_down(samples: Path, tmp_path: Path) -> None:
    (folder := tmp_path / "pictures").mkdir()
    photographs = sorted((samples / "photographs").glob("*.jpg"))
    for path in photographs[:10]:
        shutil.copy(path, folder)
    picture = cv2.imread(str(photographs[0]))
    assert cv2.imwrite(str(folder / "again.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 70])
    assert cv2.imwrite(str(folder / "dark.png"), picture // 12)
    assert cv2.imwrite(str(folder / "flat.png"), np.full((60, 60, 3), 128, np.uint8))
    calibrate(folder, tmp_path / "set", count=20)
    warnings = " ".join(manifest(tmp_path / "set")["warnings"])  # type: ignore[call-overload]
    for words in ("Only 13 pictures", "one flat colour", "nearly black", "almost like another"):
        assert words in warnings, warnings


def test_evaluation_pictures_are_refused(samples: Path, tmp_path: Path) -> None:
    (evaluation := tmp_path / "evaluation").mkdir()
    shutil.copy(next((samples / "photographs").glob("*.jpg")), evaluation)
    with pytest.raises(DataError, match="must not calibrate"):
        calibrate(samples / "photographs", tmp_path / "set", exclude=evaluation)


def test_a_changed_picture_is_noticed(samples: Path, tmp_path: Path) -> None:
    made = calibrate(samples / "small", tmp_path / "set", count=10)
    made.pictures[0].path.write_bytes(made.pictures[1].path.read_bytes())
    with pytest.raises(DataError, match="was changed"):
        CalibrationSet.load(tmp_path / "set")


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 60))
def test_balanced_counts_differ_by_one_unless_a_class_runs_out(
    classes: list[int], count: int
) -> None:
    count = min(count, len(classes))
    chosen = balanced([str(c) for c in classes], count, np.random.default_rng(0))
    assert len(set(chosen)) == len(chosen) == count
    taken = {c: sum(classes[i] == c for i in chosen) for c in set(classes)}
    for c, number in taken.items():
        assert number == classes.count(c) or number >= max(taken.values()) - 1


@given(st.integers(0, 1000), st.integers(1, 12))
def test_k_centre_is_within_twice_the_best_radius(seed: int, count: int) -> None:
    """Gonzalez's bound, against the radius of random choices."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(30, 3)).astype(np.float32)
    chosen, radii = k_centre(features, count, rng)
    assert len(set(chosen)) == count
    assert radii == sorted(radii, reverse=True)
    for _ in range(20):
        other = features[rng.permutation(30)[:count]]
        radius = np.linalg.norm(features[:, None] - other, axis=2).min(axis=1).max()
        assert radii[-1] <= 2 * radius + 1e-4


def test_a_single_picture_only_calibrates(samples: Path) -> None:
    picture = Picture(next((samples / "photographs").glob("*.jpg")))
    assert split([picture]) == ((picture,), ())
