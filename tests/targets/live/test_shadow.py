"""A candidate beside the network in charge."""

import json
import shutil
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from edgecnn import inbox
from edgecnn.bundle import MANIFEST, describe_file
from edgecnn.cli import cli
from edgecnn.errors import EdgeCnnError, RuntimeUnavailable
from edgecnn.targets.captured import Captured
from edgecnn.targets.classifier import Classifier, load
from edgecnn.targets.live.shadow import Shadow, ShadowOptions

RED, BLUE = (0, 0, 255), (255, 0, 0)


@pytest.fixture
def candidate(colour_bundle: Path, tmp_path: Path) -> Path:
    """The same network, which calls the first two colours by each other's names."""
    folder = tmp_path / "candidate"
    shutil.copytree(colour_bundle, folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    labels = folder / manifest["labels"]["path"]
    first, second, *others = labels.read_text().splitlines()
    labels.write_text("\n".join([second, first, *others]) + "\n")
    manifest["labels"] = vars(describe_file(folder, labels.name))
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(60):
        image = np.full((48, 64, 3), (RED, BLUE)[number % 2], np.uint8)
        image[:, : rng.integers(4, 20)] //= 2
        cv2.imwrite(str(folder / f"{number:03d}.png"), image)
    return folder


def test_disagreements_are_counted_and_kept(
    colour_bundle: Path, candidate: Path, frames: Path, tmp_path: Path
) -> None:
    kept, lines = tmp_path / "kept", tmp_path / "lines.jsonl"
    said = CliRunner().invoke(
        cli,
        [
            *("run", str(colour_bundle), "--source", str(frames), "--runtime", "litert"),
            *("--shadow", str(candidate), "--shadow-share", "100%"),
            *("--collect", str(kept), "--jsonl", str(lines), "--max-fps", "40"),
        ],
    )
    assert said.exit_code == 0, said.output
    counts = [json.loads(line)["shadow"] for line in lines.read_text().splitlines()]
    assert len(counts) == 60
    looked = [one["frames"] for one in counts]
    assert looked == sorted(looked)
    # On the blue half they agree.
    assert 0 < counts[-1]["disagreements"] < counts[-1]["frames"]
    found = [one for one in inbox.read(kept) if one.why == "shadow"]
    assert {one.label for one in found} == {"red"}
    # What is kept is the answer of the network in charge.
    assert {one.bundle for one in found} == {load(colour_bundle, "litert", 1).bundle.version}


class Slow:
    """A candidate that takes its time."""

    def __init__(self, classifier: Classifier, seconds: float) -> None:
        self.bundle, self._predict, self._seconds = (
            classifier.bundle,
            classifier.predict,
            seconds,
        )
        self.spent = 0.0

    def predict(self, captured: Captured) -> object:
        time.sleep(self._seconds)
        self.spent += self._seconds
        return self._predict(captured)


@pytest.fixture
def present(colour_bundle: Path) -> Classifier:
    return load(colour_bundle, "litert", 1)


def test_no_frame_waits_for_it_and_it_keeps_within_its_share(
    present: Classifier, colour_bundle: Path
) -> None:
    slow = Slow(load(colour_bundle, "litert", 1), 0.05)
    with closing(Shadow(slow, 0.25)) as shadow:  # type: ignore[arg-type]
        image = np.full((48, 64, 3), RED, np.uint8)
        waited, begun = 0.0, time.perf_counter()
        while time.perf_counter() - begun < 1.5:
            prediction = present(image)
            asked = time.perf_counter()
            prediction = shadow(prediction, Captured.now(image, 0))
            waited = max(waited, time.perf_counter() - asked)
            time.sleep(0.005)
        passed = time.perf_counter() - begun
    assert waited < 0.05
    assert 0 < slow.spent <= 0.25 * passed + 0.1
    assert prediction.shadow is not None
    assert prediction.shadow.frames >= 2
    assert prediction.shadow.disagreements == 0


def test_it_looks_at_a_copy(present: Classifier) -> None:
    seen: list[int] = []
    looked = threading.Event()

    class Looks(Slow):
        def predict(self, captured: Captured) -> object:
            found = super().predict(captured)
            seen.append(int(captured.image[0, 0, 2]))
            looked.set()
            return found

    with closing(Shadow(Looks(present, 0.05), 1.0)) as shadow:  # type: ignore[arg-type]
        image = np.full((48, 64, 3), RED, np.uint8)
        shadow(present(image), Captured.now(image, 0))
        image[...] = 0  # the source's next frame
        assert looked.wait(10)
    assert seen == [255]


def test_a_candidate_that_fails_does_not_end_the_run(
    present: Classifier, caplog: pytest.LogCaptureFixture
) -> None:
    class Fails(Slow):
        def predict(self, captured: Captured) -> object:
            raise RuntimeUnavailable(f"frame {captured.index}")

    image = np.full((48, 64, 3), RED, np.uint8)
    with closing(Shadow(Fails(present, 0), 1.0)) as shadow:  # type: ignore[arg-type]
        for _ in range(20):
            shadow(present(image), Captured.now(image, 0))
            time.sleep(0.005)
    assert caplog.text.count("the shadow network ended: frame 0") == 1


def test_a_candidate_that_was_promoted_is_none(
    colour_bundle: Path, present: Classifier, caplog: pytest.LogCaptureFixture
) -> None:
    assert ShadowOptions(colour_bundle).open(present, None) is None
    assert "is the bundle that runs: left out" in caplog.text


def test_one_of_other_classes_is_told(
    candidate: Path, present: Classifier, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = json.loads((candidate / MANIFEST).read_text())
    labels = candidate / manifest["labels"]["path"]
    some = labels.read_text()
    for shared, text in ((True, some), (False, some.replace("\n", "ish\n"))):
        labels.write_text(text)
        manifest["labels"] = vars(describe_file(candidate, labels.name))
        (candidate / MANIFEST).write_text(json.dumps(manifest))
        shadow = ShadowOptions(candidate).open(present, None)
        assert shadow is not None
        shadow.close()
        assert ("no class in common" in caplog.text) is not shared


def test_what_is_no_share(colour_bundle: Path) -> None:
    for share in ("0%", "120%", "much"):
        with pytest.raises(EdgeCnnError, match="a share of a core"):
            ShadowOptions.parse(colour_bundle, share)
    assert replace(ShadowOptions.parse(colour_bundle, "5%")).share == pytest.approx(0.05)
