"""Frames that `run --collect` keeps, and why."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from edgecnn import inbox
from edgecnn.bundle import Bundle
from edgecnn.cli import cli
from edgecnn.pictures import read_picture
from edgecnn.targets.classifier import Classifier, load
from edgecnn.targets.live.collecting.chooser import Chooser, RandomStream, Reason
from edgecnn.targets.live.collecting.newest import Lowest
from edgecnn.targets.live.loop import LiveOptions
from edgecnn.targets.live.outputs import Outputs
from edgecnn.targets.live.runner import run
from edgecnn.targets.region import Region
from tests.inbox.test_collection import disk_bytes

KILLS, LIMIT = 20, 300_000
RED, PURPLE = (0, 0, 255), (140, 0, 150)


def frame(colour: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Of one colour, with some noise and a rectangle: a scene."""
    rng = np.random.default_rng(seed)
    image = np.full((48, 64, 3), colour, np.int16) + rng.integers(-3, 4, (48, 64, 3))
    left, top = rng.integers(0, 40, 2)
    image[top : top + 12, left : left + 20] += 30
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture
def classifier(colour_bundle: Path) -> Classifier:
    return load(colour_bundle, "litert", 1)


def reasons(
    classifier: Classifier, frames: list[np.ndarray], *, timed: bool
) -> list[Reason | None]:
    choose = Chooser(classifier, timed=timed, seed=1)
    step = 1 / 30 if timed else 1.0
    return [choose(classifier(one), number * step) for number, one in enumerate(frames)]


def test_what_is_unsure_is_kept_and_what_is_alike_is_not(classifier: Classifier) -> None:
    sure = [frame(RED, seed) for seed in range(200)]
    frames = [*sure, frame(PURPLE, 7), *sure[:50], frame(PURPLE, 7), *sure[:50]]
    found = reasons(classifier, frames, timed=False)
    first, again = (found[200], found[251])
    assert first is not None
    assert first.why in ("uncertain", "novel")
    assert again is None or again.why == "random"
    # Where all is the same, hardly anything is kept but the random stream.
    assert sum(one is not None and one.why != "random" for one in found[20:200]) < 20


def test_an_answer_that_goes_to_and_fro_flickers(classifier: Classifier) -> None:
    still = [frame(RED, 1)] * 60
    torn = [frame(RED, 1), frame((255, 0, 0), 2)] * 4
    found = reasons(classifier, [*still, *torn, *still], timed=True)
    whys = [one.why for one in found if one is not None]
    assert "flicker" in whys
    # Pictures follow each other by chance.
    found = reasons(classifier, [*still, *torn, *still], timed=False)
    assert "flicker" not in [one.why for one in found if one is not None]


def test_the_random_stream_keeps_as_often_as_it_says() -> None:
    for timed, fps in ((True, 25.0), (True, 4.0), (False, 1.0)):
        draw = RandomStream(timed=timed, seed=3)
        clock = np.cumsum(np.random.default_rng(0).uniform(0.5, 1.5, 100_000) / fps)
        drawn = [draw(t) for t in clock.tolist()]
        inclusions = [one for one in drawn if one is not None]
        # Horvitz and Thompson: those drawn stand for all that passed.
        assert sum(1 / one for one in inclusions) == pytest.approx(100_000, rel=0.2)
        if timed:
            assert len(inclusions) == pytest.approx(clock[-1] / 60, rel=0.25)


def test_lowest_is_a_share_of_what_is_new() -> None:
    low, rng = Lowest(0.05), np.random.default_rng(0)
    share = np.mean([low(value) for value in rng.random(5000)])
    assert share == pytest.approx(0.05, abs=0.015)
    # Another network is surer of everything.
    assert np.mean([low(0.99 + value / 100) for value in rng.random(5000)]) < 0.06
    assert not any(Lowest(0.05)(1.0) for _ in range(100))


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A minute and more of red scenes at ten frames a second, with a moment of doubt."""
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    for number in range(700):
        writer.write(frame(PURPLE if 300 <= number < 304 else RED, number // 25))
    writer.release()
    return path


def test_frames_are_kept_with_all_that_is_known(
    film: Path, colour_bundle: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    outputs = Outputs(jsonl=str(tmp_path / "lines"), collect=folder)
    assert run(colour_bundle, str(film), outputs, runtime="litert") == 0
    found = inbox.read(folder)
    answers = [json.loads(line) for line in (tmp_path / "lines").read_text().splitlines()]
    assert any(kept.label != "red" or kept.probability < 0.9 for kept in found)
    assert {kept.bundle for kept in found} == {Bundle.load(colour_bundle).version}
    run_of, *_ = found[0].moment.split("-")
    assert {kept.moment for kept in found} <= {f"{run_of}-0", f"{run_of}-1"}
    assert [kept.moment for kept in found] == sorted(kept.moment for kept in found)
    for kept in found:
        image = read_picture(folder / kept.file)
        assert image.shape == (48, 64, 3)
        assert kept.board is None
        assert kept.region is None
        assert kept.time.endswith("+00:00")
        said = next(a for a in answers if abs(a["probability"] - kept.probability) < 1e-6)
        assert kept.label == said["label"]
        assert kept.probabilities == {one["label"]: one["probability"] for one in said["top"]}
    # A frame a second at most but for the random ones, of 70 seconds.
    assert 2 <= sum(not kept.random for kept in found) <= 70


def test_what_lies_outside_the_region_or_is_blanked_is_nowhere(
    film: Path, colour_bundle: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    outputs = Outputs(
        jsonl=str(tmp_path / "lines"),
        collect=folder,
        collect_blank=(Region(0, 0, 0.5, 0.5),),
    )
    options = LiveOptions(region=Region(0.25, 0, 0.5, 1))
    assert run(colour_bundle, str(film), outputs, runtime="litert", options=options) == 0
    found = inbox.read(folder)
    assert found
    for kept in found:
        assert kept.region == (0.25, 0.0, 0.5, 1.0)
        image = read_picture(folder / kept.file)
        assert image.shape == (48, 32, 3)
        assert image[:22, :14].max() < 40
        assert image[26:, :, 2].min() > 100


def test_nothing_is_kept_unless_asked_for(
    colour_bundle: Path, picture: Callable[..., Path], tmp_path: Path, monkeypatch: Any
) -> None:
    red = picture("red.png", RED)
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.rglob("*"))
    run(colour_bundle, str(red), Outputs(jsonl="-"), runtime="litert")
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--collect-limit", "much"), "'much' is no size such as 500MB"),
        (("--collect-limit", "0MB"), "is no size"),
        (("--collect-blank", "0,0,2,1"), "does not lie in the frame"),
        (("--collect-blank", "here"), "--collect-blank here: it is LEFT"),
        (("--collect", "red.png/x"), "Cannot write"),
    ],
)
def test_what_cannot_be(
    words: tuple[str, ...],
    message: str,
    colour_bundle: Path,
    picture: Callable[..., Path],
    monkeypatch: Any,
) -> None:
    monkeypatch.chdir(picture("red.png", RED).parent)
    given = ["run", str(colour_bundle), "--source", "red.png", "--jsonl", "lines", *words]
    done = CliRunner().invoke(cli, given)
    assert done.exit_code != 0
    assert message in (done.output + str(done.exception))


def test_a_limit_that_holds_no_frame_is_said(
    film: Path, colour_bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outputs = Outputs(
        jsonl=str(tmp_path / "lines"), collect=tmp_path / "kept", collect_limit_bytes=5000
    )
    assert run(colour_bundle, str(film), outputs, runtime="litert") == 0
    assert caplog.text.count("a limit of 5000 bytes has no room for a frame of") == 1
    assert inbox.read(tmp_path / "kept") == []


def show_noise(camera: IO[bytes], seed: int) -> None:
    """Frames that nobody has seen before, until nobody looks any more."""
    rng = np.random.default_rng(seed)
    with suppress(OSError, ValueError):
        while True:
            image = rng.integers(0, 256, (48, 64, 3), np.uint8)
            camera.write(cv2.imencode(".jpg", image)[1].tobytes())


@pytest.mark.slow
def test_a_kill_of_the_whole_run_loses_nothing_that_was_kept(
    colour_bundle: Path, tmp_path: Path
) -> None:
    folder, moments = tmp_path / "kept", random.Random(0)
    lines = folder / inbox.LINES
    seen = went = 0
    for turn in range(KILLS):
        before = lines.stat() if lines.exists() else None
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "edgecnn", "run", colour_bundle, "--source", "-"),
                *("--runtime", "litert", "--threads", "1", "--jsonl", os.devnull),
                *("--collect", folder, "--collect-limit", str(LIMIT)),
            ],
            stdin=subprocess.PIPE,
            bufsize=0,
        )
        assert process.stdin is not None
        camera = threading.Thread(target=show_noise, args=(process.stdin, turn))
        camera.start()
        deadline = time.monotonic() + 120
        while not lines.exists() or (before and lines.stat().st_mtime == before.st_mtime):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 1))
        there = inbox.read(folder)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        camera.join()
        process.stdin.close()
        assert disk_bytes(folder) <= LIMIT
        after = {one.file: one for one in inbox.read(folder)}
        for one in after.values():
            assert hashlib.sha256((folder / one.file).read_bytes()).hexdigest() == one.sha256
        # Only the oldest go, of each kind, and only for new ones.
        for kind in (True, False):
            mine = [one.file for one in there if one.random is kind]
            left = [file for file in mine if file in after]
            assert left == mine[len(mine) - len(left) :]
            went += len(mine) - len(left)
        seen += len(after)
        print(turn, len(there), len(after), disk_bytes(folder))
    assert seen > 10 * KILLS
