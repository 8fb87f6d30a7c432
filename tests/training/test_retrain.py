"""Going on from a network: which pictures it is tested on, what it keeps, what is said of it."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from edgecnn import inbox
from edgecnn.checkpoint import Checkpoint
from edgecnn.cli.train import command as train_command
from edgecnn.data import Dataset, open_source
from edgecnn.data.places import FILE, Places
from edgecnn.errors import DataError
from edgecnn.paired import Change, Paired
from edgecnn.training.learning_curve import learning_curve
from edgecnn.training.run import RUN, Run
from edgecnn.training.settings import Settings

SPLITS = ("train", "val", "test")


def fill(folder: Path, classes: str, count: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    for label in classes:
        (folder / label).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            pixels = rng.integers(0, 256, (12, 12), np.uint8)
            cv2.imwrite(str(folder / label / f"{seed}-{index}.png"), pixels)
    return folder


def where(data: Dataset) -> dict[bytes, str]:
    return {digest: name for name in SPLITS for digest in getattr(data, name).digests}


def test_a_picture_keeps_its_split_whatever_comes_later(tmp_path: Path) -> None:
    old = fill(tmp_path / "old", "ab", 60, 1)
    first = open_source(old)
    Places.now(first).write(tmp_path)
    places = Places.load(tmp_path)
    before = where(first)
    # Among the old ones, under other names, and as a folder of their own.
    fill(old, "ab", 200, 2)
    for path in list(old.rglob("1-*.png")):
        path.rename(path.with_stem(f"renamed-{path.stem}"))
    new = fill(tmp_path / "new", "bc", 80, 3)
    moved = where(open_source([old, new]))
    assert any(moved[digest] != split for digest, split in before.items())
    data = open_source([new, old], labels=first.labels, places=places)
    assert before.items() <= where(data).items()
    assert data.labels == ("a", "b", "c")
    shares = [len(getattr(data, name)) / 680 for name in SPLITS]
    assert shares == pytest.approx([0.75, 0.15, 0.10], abs=0.03)
    # And what was forgotten in between is not trained on when it comes back.
    again = Places.now(open_source(new), places)
    assert before.items() <= {digest: one.split for digest, one in again.of.items()}.items()


def in_moments(folder: Path, label: str, count: int, moments: int, seed: int) -> Path:
    """Labelled pictures that were seen in so many moments."""
    fill(folder, label, count, seed)
    rows = [
        f"{path.relative_to(folder)},{label},m{number % moments}"
        for number, path in enumerate(sorted(folder.rglob("*.png")))
    ]
    (folder / "labels.csv").write_text("\n".join(["file,label,moment", *rows]))
    return folder


def test_new_pictures_of_one_moment_cannot_be_trained_on_and_that_is_said(tmp_path: Path) -> None:
    old = fill(tmp_path / "old", "ab", 60, 1)
    Places.now(open_source(old)).write(tmp_path)
    known: dict[str, Any] = {"labels": ("a", "b"), "places": Places.load(tmp_path)}
    new = in_moments(tmp_path / "new", "a", 30, 1, 2)
    (said,) = (one for one in open_source([old, new], **known).warnings if "None of" in one)
    assert f"None of the 30 pictures of {new} is trained on: they are of 1 moments" in said
    several = in_moments(tmp_path / "several", "a", 30, 10, 3)
    assert not any("None of" in one for one in open_source([old, several], **known).warnings)
    other = in_moments(tmp_path / "other", "c", 30, 2, 4)
    with pytest.raises(DataError, match="30 in all of 2 moments, none of them left for train"):
        open_source([old, other], **known)


def test_one_class_in_two_spellings_is_told(tmp_path: Path) -> None:
    old, new = fill(tmp_path / "old", "ab", 40, 1), fill(tmp_path / "new", "A", 40, 2)
    said = open_source([old, new]).warnings
    assert "Classes that may be one, spelt in two ways: 'A' and 'a'." in said


def test_half_of_a_random_stream_is_tested_on_with_its_moments(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / inbox.FRAMES).mkdir()
    lines, rows = [], ["file,label,board,moment"]
    for number in range(240):
        png = cv2.imencode(".png", rng.integers(0, 256, (8, 8), np.uint8))[1].tobytes()
        sha256 = __import__("hashlib").sha256(png).hexdigest()
        file = f"{inbox.FRAMES}/{sha256[: inbox.DIGITS]}.png"
        (tmp_path / file).write_bytes(png)
        is_random = number % 4 == 0
        kept = inbox.Kept(
            file=file,
            sha256=sha256,
            time="2026-11-27T07:00:00+00:00",
            bundle="0" * 12,
            label="a",
            probability=0.5,
            probabilities={"a": 0.5},
            why="random" if is_random else "novel",
            inclusion=0.01 if is_random else None,
            moment=f"m{number // 4}",
            board="pi@eye",
        )
        lines.append(json.dumps(kept.to_json()))
        rows.append(f"{file},{'ab'[number % 2]},pi@eye,m{number // 4}")
    (tmp_path / inbox.LINES).write_text("\n".join(lines) + "\n")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    data = open_source(tmp_path)
    assert 100 < len(data.test) < 175
    moments = [set(getattr(data, name).moments) for name in SPLITS]
    assert sum(map(len, moments)) == len(set.union(*moments)) == 60


@pytest.fixture(scope="module")
def retrained(lenet5_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, str]:
    """LeNet-5 that goes on with a shape as an eleventh class: the run, its JSON, what was said."""
    folder = tmp_path_factory.mktemp("retrain")
    rng = np.random.default_rng(0)
    (folder / "new" / "cross").mkdir(parents=True)
    (folder / "new" / "3").mkdir(parents=True)
    for index in range(120):
        for label in ("cross", "3"):
            pixels = rng.integers(0, 60, (8, 8), np.uint8)
            row, column = rng.integers(2, 6, 2) if label == "cross" else (0, 0)
            pixels[row], pixels[:, column] = 250, 250
            cv2.imwrite(str(folder / "new" / label / f"{index}.png"), pixels)
    words = ["--from", str(lenet5_run), "--data", "digits", "--data", str(folder / "new")]
    words += ["--epochs", "2", "--out", str(folder / "run")]
    said = CliRunner().invoke(train_command, words)
    assert said.exit_code == 0, said.output
    return folder / "run", json.loads((folder / "run/checkpoint.json").read_text()), said.output


def test_both_networks_are_judged_on_the_same_pictures(
    retrained: tuple[Path, Any, str], lenet5_run: Path
) -> None:
    run, found, said = retrained
    before = Checkpoint.load(lenet5_run)
    known, now = Places.load(lenet5_run), Places.load(run)
    tested = {digest for digest, one in known.of.items() if one.split == "test"}
    assert tested <= {digest for digest, one in now.of.items() if one.split == "test"}
    compared = found["comparison"]
    assert compared["count"] == found["test"]["count"] > len(tested)
    assert compared["new"] == pytest.approx(found["test"]["top1"])
    # On the pictures that the old one was tested on, as it said itself.
    assert compared["per_source"]["digits"]["old"] == pytest.approx(before.details["test"]["top1"])
    assert compared["gained"] - compared["lost"] == pytest.approx(
        compared["count"] * compared["points"] / 100
    )
    assert compared["per_class"]["cross"]["old"] == 0
    assert found["from"]["new_classes"] == ["cross"]
    assert found["from"]["sha256"] == before.weights().sha256
    assert Checkpoint.load(run).labels == (*before.labels, "cross")
    assert f"against {lenet5_run.name}, on the same {compared['count']} pictures" in said
    gain = found["learning_curve"]["gain"]
    assert f"more labels like the new ones would bring about {gain:+.1f} points" in said


def test_what_it_knew_is_kept(retrained: tuple[Path, Any, str]) -> None:
    run, found, _ = retrained
    assert found["test"]["per_class"]["cross"] > 0.5
    assert found["comparison"]["per_source"]["digits"]["new"] > 0.9
    assert (run / FILE).is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "nowhere", "--data", "digits"], "no checkpoint"),
        (["lenet5", "--from", "x", "--data", "digits"], "leave out 'lenet5'"),
        (["--from", "x", "--qat", "y"], "one after the other"),
        (["--from", "x"], "Say what to train on"),
    ],
)
def test_what_does_not_go_together(words: list[str], said: str) -> None:
    found = CliRunner().invoke(train_command, words)
    assert isinstance(found.exception, Exception)
    assert said in str(found.exception)


def test_a_run_that_does_not_say_what_it_was_tested_on(lenet5_run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train it once more"):
        Places.load(tmp_path)
    text = (lenet5_run / FILE).read_text()
    (tmp_path / FILE).write_text(text.replace(",test,", ",tset,"))
    with pytest.raises(DataError, match="no split 'tset'"):
        Places.load(tmp_path)


def test_pictures_that_both_answer_alike_do_not_widen_the_interval() -> None:
    old = np.r_[[False] * 12, [True] * 3, [True] * 985]
    new = np.r_[[True] * 12, [False] * 3, [True] * 985]
    found = Paired.of(old, new, ["rose"] * 15 + ["tulip"] * 985)
    assert (found.whole.gained, found.whole.lost) == (12, 3)
    assert found.whole.points == pytest.approx(0.9)
    low, high = found.whole.interval
    assert 0 < low < 0.9 < high < 2
    # 2 * P(X >= 12) of 15 throws of a coin.
    assert found.whole.p_value == pytest.approx(2 * (455 + 105 + 15 + 1) / 2**15)
    assert list(found.worse) == []
    assert Change.from_json(found.to_json()) == found.whole


def blobs(rng: np.random.Generator, count: int) -> tuple[Any, Any]:
    centres = np.random.default_rng(9).standard_normal((5, 40)) * 0.45
    targets = rng.integers(0, 5, count)
    return centres[targets] + rng.standard_normal((count, 40)), targets


def test_the_learning_curve_holds_what_more_labels_bring() -> None:
    held, runs, gains = 0, 12, []
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        known, test, population = blobs(rng, 0), blobs(rng, 200), blobs(rng, 4000)
        new, extra = blobs(rng, 120), blobs(rng, 120)
        moments = [bytes([index]) for index in range(120)]
        found = learning_curve(known, new, test, moments, seed=seed)
        assert found is not None
        both = (np.concatenate([new[0], extra[0]]), np.concatenate([new[1], extra[1]]))
        before, after = (
            np.mean(classify(part)(population[0]) == population[1]) for part in (new, both)
        )
        gain = 100 * (after - before)
        held += found.interval[0] <= gain <= found.interval[1]
        gains.append(found.gain)
    assert held >= 10
    assert np.mean(gains) > 1
    assert learning_curve(known, blobs(rng, 10), test, moments[:10]) is None


def classify(part: tuple[Any, Any]) -> Any:
    from edgecnn.training.learning_curve import components, fitted_classifier

    project = components(part[0])
    fitted = fitted_classifier(project(part[0]), part[1])
    return lambda some: fitted(project(some))


def test_a_run_from_before_runs_had_several_sources_is_read(tmp_path: Path) -> None:
    told = {"architecture": "lenet5", "source": "digits", "settings": Settings().to_json()}
    (tmp_path / RUN).write_text(json.dumps(told | {"dataset_sha256": "0" * 64}))
    assert Run.load(tmp_path).sources == ("digits",)
