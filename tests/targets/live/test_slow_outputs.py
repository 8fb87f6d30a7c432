"""No output delays a frame of a camera, and no line of a file is lost."""

import json
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgecnn.errors import EdgeCnnError
from edgecnn.targets.captured import Captured
from edgecnn.targets.live.sinks.beside import Beside
from edgecnn.targets.live.sinks.jsonl import JsonLines
from edgecnn.targets.live.sinks.record import Recorder
from edgecnn.targets.prediction import Latency, Prediction, Top

NO_TIME = Latency(0, 0, 0, 0, 0, 0)


def prediction(number: int) -> Prediction:
    return Prediction(number, number / 30, (Top("red", 0, 0.9), Top("blue", 1, 0.1)), NO_TIME)


def captured(number: int, level: int = 0) -> Captured:
    return Captured(np.full((48, 64, 3), level, np.uint8), number, number / 30, number / 30)


class Slow:
    """Takes a while for each answer, and remembers what it saw."""

    def __init__(self, seconds: float = 0.0, fails: bool = False) -> None:
        self.seconds, self.fails = seconds, fails
        self.seen: list[tuple[int, int]] = []
        self.closed = False
        self.held = threading.Event()

    def write(self, prediction: Prediction, captured: Captured) -> None:
        self.held.wait(self.seconds)
        if self.fails:
            raise EdgeCnnError("it broke")
        self.seen.append((prediction.frame, int(captured.image.max())))

    def close(self) -> None:
        self.closed = True


def beside(sink: Slow, *, waits: bool = False, room: int = 4, pixels: bool = True) -> Beside:
    return Beside(
        lambda: sink, "an output", waits=waits, room=room, stop=threading.Event(), pixels=pixels
    )


def test_an_output_that_is_stuck_delays_nothing_and_what_it_lost_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = Slow(60)
    output = beside(sink)
    started = time.perf_counter()
    frame = captured(0)
    for number in range(200):
        frame.image[...] = number  # sources use their buffers again
        output.write(prediction(number), frame)
    assert time.perf_counter() - started < 1
    sink.held.set()
    output.close()
    assert sink.closed
    # Those it had room for, each with its own pixels.
    assert all(number == level for number, level in sink.seen)
    assert len(sink.seen) + output.lost == 200
    assert 4 <= len(sink.seen) <= 5
    assert "an output is too slow: answers are left out (100 so far)" in caplog.text
    assert f"{output.lost} answers were left out in all" in caplog.text


def test_a_file_waits_for_its_output(caplog: pytest.LogCaptureFixture) -> None:
    sink = Slow(0.002)
    output = beside(sink, waits=True)
    for number in range(100):
        output.write(prediction(number), captured(number, number))
    output.close()
    assert sink.seen == [(number, number) for number in range(100)]
    assert not caplog.text


@pytest.mark.parametrize("waits", [False, True])
def test_an_output_that_breaks_ends_the_loop(waits: bool) -> None:
    sink = Slow(fails=True)
    output = beside(sink, waits=waits, room=1)

    def go_on() -> None:
        for number in range(1000):
            output.write(prediction(number), captured(number))
            time.sleep(0.001)

    with pytest.raises(EdgeCnnError, match="it broke"):
        go_on()
    output.close()  # said once
    assert sink.closed
    late = beside(Slow(0.05, fails=True), waits=waits)
    late.write(prediction(0), captured(0))
    with pytest.raises(EdgeCnnError, match="it broke"):
        late.close()


def test_an_output_that_cannot_be_made_is_said_at_once() -> None:
    def make() -> Any:
        raise EdgeCnnError("no such place")

    with pytest.raises(EdgeCnnError, match="no such place"):
        Beside(make, "it", waits=False, room=1, stop=threading.Event())


def edgecnn_run(bundle: Path, *words: str, **options: Any) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "edgecnn", "run", str(bundle), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_a_camera_goes_on_while_nobody_reads_and_every_line_is_whole(colour_bundle: Path) -> None:
    words = ("--source", "synthetic:64x48@400", "--jsonl", "-", "--frames", "2000")
    with edgecnn_run(colour_bundle, *words) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert b"answers are left out" in running.stderr.readline()
        lines = running.stdout.read().decode().splitlines()
        said = running.stderr.read().decode()
    assert running.returncode == 0
    frames = [json.loads(line)["frame"] for line in lines]
    assert frames == sorted(set(frames))
    lost = int(said.rpartition(" answers were left out in all")[0].rpartition(" ")[2])
    assert len(lines) + lost == 2000


@pytest.mark.parametrize("words", [("--jsonl", "-"), ()], ids=["lines", "for people"])
def test_it_ends_when_asked_though_nobody_reads(
    colour_bundle: Path, words: tuple[str, ...]
) -> None:
    with edgecnn_run(colour_bundle, "--source", "synthetic:64x48@400", *words) as running:
        assert running.stderr is not None
        assert b"answers are left out" in running.stderr.readline()
        started = time.monotonic()
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) == 0
        assert time.monotonic() - started < 5  # systemd's patience
        assert b"in all" in running.stderr.read()


def test_a_film_waits_for_who_reads_its_lines(colour_bundle: Path, videos: dict[str, Path]) -> None:
    video = str(videos["bikes.mp4"])
    with edgecnn_run(colour_bundle, "--source", video, "--jsonl", "-") as running:
        assert running.stdout is not None
        first = running.stdout.readline()
        time.sleep(1)  # by then it waits: a pipe has room for some hundred lines
        assert running.poll() is None
        lines = [first, *running.stdout]
    assert running.returncode == 0
    assert [json.loads(line)["frame"] for line in lines] == list(range(250))


def test_lines_turn_over(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    lines = JsonLines(str(file), limit_bytes=4000)
    for number in range(100):
        lines.write(prediction(number), captured(number))
    lines.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.1.jsonl", "log.jsonl"]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 4000
    read = (tmp_path / "log.1.jsonl").read_text() + file.read_text()
    frames = [json.loads(line)["frame"] for line in read.splitlines()]
    assert frames == list(range(frames[0], 100))  # the newest, without a gap
    assert len(frames) > 5


def test_a_full_disk_costs_lines_of_a_camera_but_never_half_of_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "log.jsonl"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    lines = JsonLines(str(file), live=True)
    other = JsonLines(str(tmp_path / "film.jsonl"), live=False)

    def fill() -> None:
        for number in range(20):
            other.write(prediction(number), captured(number))

    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, before[1]))
    try:
        for number in range(20):
            lines.write(prediction(number), captured(number))
        with pytest.raises(EdgeCnnError, match=r"Cannot write .*film\.jsonl: File too large"):
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    lines.write(prediction(99), captured(99))
    lines.close()
    other.close()
    frames = [json.loads(line)["frame"] for line in file.read_text().splitlines()]
    assert frames[-1] == 99
    assert 2 < len(frames) < 20
    assert caplog.text.count("cannot be written: File too large") == 1
    assert f"{21 - len(frames)} lines were left out" in caplog.text


def test_a_recording_turns_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecnn.targets.live.sinks.record.LOOK_S", 0.0)
    file = tmp_path / "seen.avi"
    recorder = Recorder(file, live=False, fps=25, limit_bytes=4_000_000)
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    for number in range(30):
        recorder.write(prediction(number), Captured(noise, number, number / 25, number / 25))
    recorder.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["seen.1.avi", "seen.avi"]
    for path in tmp_path.iterdir():
        assert path.stat().st_size < 3_000_000
        assert cv2.VideoCapture(str(path)).read()[0]


def test_a_recording_leaves_some_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    free = [0]
    monkeypatch.setattr(
        "edgecnn.targets.live.sinks.record.shutil.disk_usage",
        lambda _: type("Usage", (), {"free": free[0]}),
    )
    recorder = Recorder(tmp_path / "seen.avi", live=True, fps=25)
    for number in range(5):
        recorder.write(prediction(number), captured(number))
    assert not list(tmp_path.iterdir())
    free[0] = 1 << 40
    recorder.write(prediction(5), captured(5))
    recorder.close()
    assert caplog.text.count("almost full") == 1
    assert "5 frames were left out" in caplog.text
    free[0] = 0
    film = Recorder(tmp_path / "film.avi", live=False, fps=25)
    with pytest.raises(EdgeCnnError, match="the disk is full"):
        film.write(prediction(0), captured(0))
