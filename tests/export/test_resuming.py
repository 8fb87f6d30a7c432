"""An evaluation that was interrupted goes on where it was, with the same result."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import edgecnn
from edgecnn import cache
from edgecnn.bundle import Bundle
from edgecnn.export import asking
from edgecnn.export.asking import Networks
from edgecnn.export.evaluate import Evaluation
from edgecnn.export.kept_answers import FOLDER

COUNT, CHUNK = 200, 64


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Noisy digits of a kind, in a folder for each class, and an empty cache."""
    monkeypatch.setenv("EDGECNN_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for number in range(COUNT):
        folder = tmp_path / "pictures" / str(number % 10)
        folder.mkdir(parents=True, exist_ok=True)
        picture = np.zeros((32, 32), np.uint8)
        cv2.putText(picture, str(number % 10), (6, 26), cv2.FONT_HERSHEY_PLAIN, 2, 255, 2)
        noisy = np.clip(picture + rng.normal(0, 60, picture.shape), 0, 255)
        assert cv2.imwrite(str(folder / f"{number:04d}.png"), noisy.astype(np.uint8))
    return tmp_path / "pictures"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures the networks are asked for, a number a chunk."""
    found: list[int] = []
    answers = Networks.answers

    def counted(self: Networks, images: Any) -> Any:
        found.append(len(images))
        return answers(self, images)

    monkeypatch.setattr(Networks, "answers", counted)
    return found


def evaluate(bundle: Path, pictures: Path, **more: Any) -> Evaluation:
    return edgecnn.evaluate(bundle, pictures, reference=False, **more)


def interrupt(after: int) -> Callable[[int, int], None]:
    def progress(done: int, count: int) -> None:
        assert count == COUNT
        if done >= after:
            raise KeyboardInterrupt

    return progress


def kept() -> list[Path]:
    return list((cache.folder() / FOLDER).iterdir())


def test_it_goes_on_where_it_was(lenet5_bundle: Path, pictures: Path, asked: list[int]) -> None:
    with pytest.raises(KeyboardInterrupt):
        evaluate(lenet5_bundle, pictures, progress=interrupt(130))
    assert asked == [CHUNK, CHUNK, CHUNK]
    asked.clear()
    told: list[tuple[int, int]] = []
    found = evaluate(
        lenet5_bundle, pictures, progress=lambda done, count: told.append((done, count))
    )
    assert asked == [COUNT - 3 * CHUNK]
    assert told == [(64, COUNT), (128, COUNT), (192, COUNT), (COUNT, COUNT)]
    assert not kept()  # nobody needs it any more
    asked.clear()
    assert evaluate(lenet5_bundle, pictures).to_json() == found.to_json()
    assert sum(asked) == COUNT


def test_a_killed_process_is_gone_on_with(
    lenet5_bundle: Path, pictures: Path, asked: list[int]
) -> None:
    killed = f"""if True:
        import os, signal, edgecnn
        def progress(done, count):
            if done >= 100:
                os.kill(os.getpid(), signal.SIGKILL)
        edgecnn.evaluate({str(lenet5_bundle)!r}, {str(pictures)!r}, reference=False,
                         progress=progress)
    """
    done = subprocess.run([sys.executable, "-c", killed], env=os.environ, capture_output=True)
    assert done.returncode == -9, done.stderr
    evaluate(lenet5_bundle, pictures)
    assert sum(asked) == COUNT - 2 * CHUNK


def test_nothing_stale_is_used(lenet5_bundle: Path, pictures: Path, asked: list[int]) -> None:
    with pytest.raises(KeyboardInterrupt):
        evaluate(lenet5_bundle, pictures, progress=interrupt(COUNT))
    (file,) = kept()
    # A picture of the second chunk changes, and of the third an answer as no network gave it.
    changed = sorted(pictures.rglob("*.png"))[70]
    assert cv2.imwrite(str(changed), np.full((32, 32), 200, np.uint8))
    outputs = 10 * np.dtype(np.float32).itemsize
    with file.open("r+b") as stream:
        stream.seek(140 * outputs)
        stream.write(b"\x01")
    asked.clear()
    found = evaluate(lenet5_bundle, pictures)
    assert sum(asked) == 2 * CHUNK
    assert evaluate(lenet5_bundle, pictures).to_json() == found.to_json()


@pytest.mark.parametrize("other", ["threads", "picture more", "cut off", "source"])
def test_another_evaluation_begins_anew(
    lenet5_bundle: Path,
    pictures: Path,
    asked: list[int],
    other: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(KeyboardInterrupt):
        evaluate(lenet5_bundle, pictures, progress=interrupt(COUNT), threads=2)
    asked.clear()
    first = sorted(pictures.rglob("*.png"))[0]
    threads = 2
    match other:
        case "threads":
            threads = 8  # two in each session
        case "picture more":
            (first.parent / "0000a.png").write_bytes(first.read_bytes())
        case "cut off":
            (file,) = kept()
            os.truncate(file, 100)
        case "source":  # of edgecnn
            monkeypatch.setattr(asking, "source_sha256", lambda: "changed")
    found = evaluate(lenet5_bundle, pictures, threads=threads)
    assert sum(asked) == found.count


def test_two_at_once_do_not_disturb_each_other(lenet5_bundle: Path, pictures: Path) -> None:
    inner: list[Evaluation] = []

    def progress(done: int, count: int) -> None:
        if not inner:
            inner.append(evaluate(lenet5_bundle, pictures))

    outer = evaluate(lenet5_bundle, pictures, progress=progress)
    assert outer.to_json() == inner[0].to_json()


def test_a_cache_that_cannot_be_written_is_said(
    lenet5_bundle: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGECNN_CACHE", str(tmp_path / "file"))
    found = evaluate(lenet5_bundle, pictures)
    assert any("will begin anew" in note for note in found.notes)
    assert found.count == COUNT


def test_what_nobody_went_on_with_is_forgotten(lenet5_bundle: Path, pictures: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        evaluate(lenet5_bundle, pictures, progress=interrupt(CHUNK))
    (file,) = kept()
    os.utime(file, (0, 0))
    (pictures / "0" / "0000.png").unlink()
    evaluate(lenet5_bundle, pictures)
    assert not kept()


def test_the_float_network_is_gone_on_with_too(
    lenet5_bundle: Path, asked: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGECNN_CACHE", str(tmp_path))
    count = 179  # of the digits

    def progress(done: int, _: int) -> None:
        if done >= 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        edgecnn.evaluate(lenet5_bundle, "digits", progress=progress)
    asked.clear()
    found = edgecnn.evaluate(lenet5_bundle, "digits")
    assert sum(asked) == count - 2 * CHUNK
    assert found.reference is not None
    assert found.to_json() == edgecnn.evaluate(lenet5_bundle, "digits").to_json()
    assert Bundle.load(lenet5_bundle).labels == tuple(map(str, range(10)))


MANY = """if True:
    import resource, sys, edgecnn
    found = edgecnn.evaluate(sys.argv[1], sys.argv[2], reference=False)
    print(found.count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_ten_times_as_many_pictures_take_no_more_memory(
    lenet5_bundle: Path, pictures: Path, tmp_path: Path
) -> None:
    files = sorted(pictures.rglob("*.png"))
    for number in range(20 * COUNT):
        one = files[number % COUNT]
        for name, count in (("few", 2 * COUNT), ("many", 20 * COUNT)):
            if number < count:
                folder = tmp_path / name / one.parent.name
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{number:05d}.png").write_bytes(one.read_bytes())
    peaks = []
    for name, count in (("few", 2 * COUNT), ("many", 20 * COUNT)):
        command = [sys.executable, "-c", MANY, str(lenet5_bundle), str(tmp_path / name)]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert int(told[0]) == count
        peaks.append(int(told[1]))
    assert peaks[1] < 1.05 * peaks[0], peaks
