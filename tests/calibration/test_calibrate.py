"""Choosing calibration pictures, on real ones."""

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.calibration import calibrate
from edgecnn.calibration.calibration_set import CalibrationSet, split
from edgecnn.calibration.selection import Selection, balanced, k_centre
from edgecnn.cli import cli
from edgecnn.data import open_source
from edgecnn.errors import DataError, EdgeCnnError
from edgecnn.export.calibration_choice import calibration_set
from edgecnn.export.network import Network
from edgecnn.export.progress import ExportProgress
from edgecnn.pictures import Picture
from edgecnn.training.calibration_pictures import write_calibration

ANY_NETWORK = cast(Network, None)
"""A set is judged by itself where one is given."""


@pytest.fixture
def by_class(samples: Path, tmp_path: Path) -> Path:
    """Real small pictures in a subfolder for each data set they come from."""
    folder = tmp_path / "classes"
    for path in (samples / "small").iterdir():
        target = folder / path.name.split("_")[0]
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return folder


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "calibration.json").read_text())
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
    assert manifest(tmp_path / "set")["candidates"] >= 60
    frame = cv2.imread(str(made.pictures[0].path))
    assert frame is not None
    assert frame.shape == (272, 640, 3)


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
    assert picture is not None
    assert cv2.imwrite(str(folder / "again.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 70])
    assert cv2.imwrite(str(folder / "dark.png"), picture // 12)
    assert cv2.imwrite(str(folder / "flat.png"), np.full((60, 60, 3), 128, np.uint8))
    calibrate(folder, tmp_path / "set", count=20)
    warnings = " ".join(manifest(tmp_path / "set")["warnings"])
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


def add_truncated(samples: Path, folder: Path) -> None:
    data = next((samples / "photographs").glob("*.jpg")).read_bytes()
    (folder / "half.jpg").write_bytes(data[: len(data) // 2])


@pytest.fixture
def pictures(samples: Path, tmp_path: Path) -> Path:
    """Ten real pictures."""
    (folder := tmp_path / "my pictures (2)").mkdir()
    for path in sorted((samples / "small").glob("cifar10_*"))[:10]:
        shutil.copy(path, folder)
    return folder


def test_broken_pictures_are_named_or_left_out(
    samples: Path, pictures: Path, tmp_path: Path
) -> None:
    add_truncated(samples, pictures)
    (pictures / "empty.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"2 files .* empty\.png, half\.jpg.*--skip-bad"):
        calibrate(pictures, tmp_path / "set")
    assert not (tmp_path / "set").exists()
    made = calibrate(pictures, tmp_path / "set", skip_bad=True)
    assert len(made.pictures) + len(made.held_out) == 10
    assert manifest(tmp_path / "set")["skipped"] == ["empty.png", "half.jpg"]
    assert "Left out 2 files" in manifest(tmp_path / "set")["warnings"][0]


def test_a_folder_with_a_broken_picture_names_the_command_that_chooses_others(
    samples: Path, pictures: Path, tmp_path: Path
) -> None:
    add_truncated(samples, pictures)
    with pytest.raises(DataError, match=r"1 files .* half\.jpg") as caught:
        CalibrationSet.load(pictures)
    command = str(caught.value).split("`")[1].replace("SET", str(tmp_path / "set"))
    assert CliRunner().invoke(cli, shlex.split(command)[1:]).exit_code == 0
    assert len(CalibrationSet.load(tmp_path / "set").pictures) == 8


def test_nothing_but_broken_pictures_is_said(pictures: Path, tmp_path: Path) -> None:
    for path in pictures.iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(DataError, match="no whole picture, but 10 broken ones"):
        calibrate(pictures, tmp_path / "set", skip_bad=True)


@pytest.mark.parametrize("select_by", ["diverse", "random"])
def test_copies_of_one_picture_make_no_set(
    select_by: Selection, pictures: Path, tmp_path: Path
) -> None:
    (copies := tmp_path / "copies").mkdir()
    photograph = next(pictures.iterdir())
    for number in range(50):
        shutil.copy(photograph, copies / f"{number}.png")
    with pytest.raises(DataError, match=r"All 50 pictures are copies of one.*two different ones"):
        CalibrationSet.load(copies)
    with pytest.raises(DataError, match="All 20 pictures are copies of one"):
        calibrate(copies, tmp_path / "set", count=20, select_by=select_by)
    assert not (tmp_path / "set").exists()


@given(st.lists(st.integers(1, 30), min_size=2, max_size=8))
def test_copies_of_a_picture_stay_on_one_side(copies: list[int]) -> None:
    many = []
    for number, count in enumerate(copies):
        for _ in range(count):
            many.append(picture := Picture(Path(f"{number}.png")))
            vars(picture)["sha256"] = f"{number:02}"  # as though read
    used, held_out = split(many)
    assert used
    assert held_out
    assert not {p.sha256 for p in used} & {p.sha256 for p in held_out}
    assert len(used) + len(held_out) == len(many)


def test_two_pictures_many_times_over_calibrate_and_verify(pictures: Path, tmp_path: Path) -> None:
    (copies := tmp_path / "copies").mkdir()
    for path in sorted(pictures.iterdir())[:2]:
        for number in range(50):
            shutil.copy(path, copies / f"{number}-{path.name}")
    made = calibrate(copies, tmp_path / "set", count=100)
    assert (len(made.pictures), len(made.held_out)) == (50, 50)
    assert {p.sha256 for p in made.pictures}.isdisjoint(p.sha256 for p in made.held_out)


def test_diverse_takes_no_picture_twice() -> None:
    features = np.zeros((50, 3), np.float32)
    features[25:] = 1
    chosen, radii = k_centre(features, 20, np.random.default_rng(0))
    assert len(set(chosen)) == 20
    assert radii[1:] == [0.0] * 19


@pytest.mark.parametrize("held_out", [True, False])
def test_a_set_with_one_side_only_is_refused(
    held_out: bool, pictures: Path, tmp_path: Path
) -> None:
    calibrate(pictures, tmp_path / "set")
    changed = manifest(tmp_path / "set")
    for entry in changed["pictures"]:
        entry["held_out"] = held_out
    (tmp_path / "set" / "calibration.json").write_text(json.dumps(changed))
    lacks = "to calibrate with" if held_out else "none held out to verify with"
    with pytest.raises(DataError, match=lacks):
        calibration_set(CalibrationSet.load(tmp_path / "set"), ANY_NETWORK, ExportProgress())


def test_a_held_out_picture_does_not_calibrate_as_a_copy(pictures: Path, tmp_path: Path) -> None:
    made = calibrate(pictures, tmp_path / "set")
    leaking = replace(made, pictures=(*made.pictures, *made.held_out))
    found = calibration_set(leaking, ANY_NETWORK, ExportProgress())
    assert found.pictures == made.pictures
    with pytest.raises(DataError, match="Every picture to calibrate with is also held out"):
        calibration_set(replace(made, pictures=made.held_out), ANY_NETWORK, ExportProgress())


def test_splits_that_share_pictures_calibrate_with_the_others(
    by_class: Path, tmp_path: Path
) -> None:
    shutil.copytree(by_class, tmp_path / "data" / "train")
    shutil.copytree(by_class, tmp_path / "data" / "test")
    for run in ("all of them", "some"):
        (tmp_path / run).mkdir()
        made = write_calibration(tmp_path / run, open_source(tmp_path / "data"), 0)
        assert made.pictures
        assert made.held_out
        assert {p.sha256 for p in made.pictures}.isdisjoint(p.sha256 for p in made.held_out)
        for folder in (tmp_path / "data" / "test").iterdir():
            for path in sorted(folder.iterdir())[2:]:
                path.unlink()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"select_by": "divers"}, "Unknown selection 'divers': did you mean 'diverse'"),
        ({"count": 0}, "count must be at least 2, not 0"),
        ({"count": -5}, "count must be"),
        ({"count": 10.5}, "count must be"),
        ({"seed": -1}, "seed must be"),
        ({"network": "resnet43"}, "did you mean 'resnet34'"),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: dict[str, Any], message: str, pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(EdgeCnnError, match=message):
        calibrate(pictures, tmp_path / "set", **arguments)
