import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

import edgecnn
from edgecnn.errors import EdgeCnnError
from edgecnn.targets.captured import Captured
from edgecnn.targets.live.loop import LiveOptions
from edgecnn.targets.live.sinks.record import Recorder
from edgecnn.targets.prediction import Prediction

LINE = {
    "frame",
    "captured_at",
    "label",
    "class_index",
    "probability",
    "top",
    "latency_ms",
    "dropped",
}
LATENCY = {"capture", "preprocess", "inference", "postprocess", "total", "age"}
HEAVY = ("tensorflow", "keras", "onnx", "nncf", "jax", "torch", "tf2onnx", "ai_edge_quantizer")


def edgecnn_run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgecnn", "run", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_classify_yields_predictions(colour_bundle: Path) -> None:
    predictions = list(edgecnn.classify("synthetic:64x48", colour_bundle, frames=5))
    assert [p.frame for p in predictions] == [0, 1, 2, 3, 4]
    for p in predictions:
        ms = p.latency_ms
        parts = ms.capture + ms.preprocess + ms.inference + ms.postprocess
        assert parts == pytest.approx(ms.total, rel=1e-6)
        assert 0 < ms.age <= ms.total


def test_a_red_stream_is_red(colour_bundle: Path, mjpeg_camera: Any) -> None:
    predictions = list(
        edgecnn.classify(mjpeg_camera.url, colour_bundle, options=LiveOptions(max_outage_s=0))
    )
    assert predictions
    assert {p.label for p in predictions} == {"red"}


def test_a_real_video_as_json_lines(colour_bundle: Path, videos: dict[str, Path]) -> None:
    done = edgecnn_run(colour_bundle, "--source", videos["bikes.mp4"], "--jsonl", "-")
    assert done.returncode == 0, done.stderr
    lines = json_lines(done.stdout)
    assert [line["frame"] for line in lines] == list(range(250))
    for line in lines:
        assert set(line) == LINE
        assert set(line["latency_ms"]) == LATENCY
        assert line["dropped"] == 0
        assert line["top"][0]["label"] == line["label"]


def test_a_stream_as_json_lines(colour_bundle: Path, mjpeg_camera: Any) -> None:
    done = edgecnn_run(
        colour_bundle, "--source", mjpeg_camera.url, "--max-outage", 0, "--jsonl", "-"
    )
    assert done.returncode == 0, done.stderr
    lines = json_lines(done.stdout)
    assert all(set(line) == LINE for line in lines)
    # Each frame was answered or counted as dropped.
    assert sum(1 + line["dropped"] for line in lines) == lines[-1]["frame"] + 1


def test_json_lines_into_a_file_and_lines_for_people(
    colour_bundle: Path, tmp_path: Path, picture: Callable[..., Path]
) -> None:
    blue = picture("blue.png", (255, 0, 0))
    out = tmp_path / "out.jsonl"
    assert edgecnn_run(colour_bundle, "--source", blue, "--jsonl", out).returncode == 0
    assert [line["label"] for line in json_lines(out.read_text())] == ["blue"]
    readable = edgecnn_run(colour_bundle, "--source", blue)
    assert "blue" in readable.stdout
    assert "ms" in readable.stdout


def test_the_board_side_loads_no_training_library(colour_bundle: Path) -> None:
    code = f"""
import sys
import edgecnn
from edgecnn.targets import inventory
from edgecnn.targets.board import target
from edgecnn.targets.engines import runtimes
from edgecnn.targets.live import runner
from edgecnn.targets.profiling import profile_worker, profiler
for runtime in runtimes.RUNTIMES:
    assert list(edgecnn.classify("synthetic", {str(colour_bundle)!r}, runtime=runtime, frames=2))
inventory.inventory()
loaded = sorted({{name.split(".")[0] for name in sys.modules}} & set({HEAVY!r}))
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "arguments", [["--help"], *([name, "--help"] for name in ("run", "profile", "targets"))]
)
def test_help_loads_no_numpy_and_no_engine(arguments: list[str]) -> None:
    code = f"""
import sys
from edgecnn.cli import main
sys.argv = ["edgecnn", *{arguments!r}]
try:
    main()
except SystemExit as end:
    assert end.code == 0
heavy = {("numpy", "cv2", "openvino", "onnxruntime", "ai_edge_litert", *HEAVY)!r}
loaded = sorted({{name.split(".")[0] for name in sys.modules}} & set(heavy))
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_on_change_writes_the_changes_only(
    colour_bundle: Path, picture: Callable[..., Path], tmp_path: Path
) -> None:
    for n, colour in enumerate([(0, 0, 255)] * 3 + [(255, 0, 0)] * 3):
        picture(f"frames/{n}.png", colour)
    done = edgecnn_run(
        colour_bundle, "--source", tmp_path / "frames", "--on-change", "--jsonl", "-"
    )
    assert done.returncode == 0, done.stderr
    assert [(line["frame"], line["label"]) for line in json_lines(done.stdout)] == [
        (0, "red"),
        (3, "blue"),
    ]


def test_random_weights_are_warned_of(write_bundle: Callable[..., Path], tmp_path: Path) -> None:
    weights = {"kind": "random", "source": "He", "sha256": "0"}
    bundle = write_bundle(tmp_path / "random", weights=weights)
    done = edgecnn_run(bundle, "--source", "synthetic", "--frames", 1, "--jsonl", "-")
    assert done.returncode == 0
    assert "mean nothing" in done.stderr
    assert len(json_lines(done.stdout)) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "nowhere.mp4"], "No such source"),
        (["--source", "/dev/video88"], "No camera: there is no /dev/video88"),
        (["--source", "synthetic", "--record", "out.txt", "--frames", "1"], ".mp4"),
        (["--source", "synthetic", "--jsonl", "/nowhere/x", "--frames", "1"], "Cannot write"),
        (["--source", "synthetic", "--show", "--frames", "1"], "needs a display"),
        (["--source", "0", "--size", "big"], "not a size such as 640x480"),
        (["--source", "synthetic", "--roi", "1,2"], "LEFT,TOP,WIDTH,HEIGHT"),
        (["--source", "synthetic", "--smooth", "mean"], "exponential:SECONDS"),
        (["--source", "synthetic*.png"], "matches no pictures"),
    ],
)
def test_wrong_use_is_one_clear_line(
    colour_bundle: Path, arguments: list[str], message: str
) -> None:
    no_display = {k: v for k, v in os.environ.items() if "DISPLAY" not in k}
    done = edgecnn_run(colour_bundle, *arguments, env=no_display)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_changed_byte_is_refused(write_bundle: Callable[..., Path], tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "changed")
    model = bundle / "model.tflite"
    model.write_bytes(model.read_bytes()[:-1] + b"?")
    done = edgecnn_run(bundle, "--source", "synthetic", "--frames", 1)
    assert done.returncode == 2
    assert "was changed since export" in done.stderr


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"]
)
@pytest.mark.parametrize("source", ["synthetic:640x480@20", "synthetic"])
def test_a_signal_ends_it_cleanly(
    colour_bundle: Path, source: str, number: signal.Signals, code: int
) -> None:
    command = [sys.executable, "-m", "edgecnn", "run", str(colour_bundle)]
    with subprocess.Popen(
        [*command, "--source", source, "--jsonl", "-"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        first = running.stdout.readline()
        running.send_signal(number)
        rest = running.stdout.read()  # not `communicate`, which loses what was read ahead
        running.wait(timeout=60)
    assert running.returncode == code
    # The last line is whole.
    assert rest == "" or rest.endswith("\n")
    assert all(set(line) == LINE for line in json_lines(first + rest))


def test_a_signal_ends_a_wait_for_a_silent_stream(colour_bundle: Path, mjpeg_camera: Any) -> None:
    mjpeg_camera.then = "stall"
    command = [sys.executable, "-m", "edgecnn", "run", str(colour_bundle), "--timeout", "50"]
    with subprocess.Popen(
        [*command, "--source", mjpeg_camera.url, "--jsonl", "-"], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        while json.loads(running.stdout.readline())["frame"] < mjpeg_camera.frames - 2:
            pass
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=25)
    assert running.returncode == 0


def test_a_recorded_file_has_every_frame_with_its_label(
    colour_bundle: Path, videos: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    video = videos["carphone_pristine.mp4"]
    done = edgecnn_run(colour_bundle, "--source", video, "--record", out, "--frames", 30)
    assert done.returncode == 0, done.stderr
    recorded, original = cv2.VideoCapture(str(out)), cv2.VideoCapture(str(video))
    count = 0
    while True:
        ok, frame = recorded.read()
        if not ok:
            break
        _, plain = original.read()
        assert frame.shape == plain.shape
        # The text stands in the upper part; below it only the codec differs.
        text = cv2.absdiff(frame, plain)[:60, :100].max()
        rest = cv2.absdiff(frame, plain)[-40:, -40:].mean()
        assert text > 100
        assert rest < 12
        count += 1
    assert count == 30


def test_a_live_recording_keeps_time(tmp_path: Path, colour_bundle: Path) -> None:
    (prediction,) = edgecnn.classify("synthetic:64x48", colour_bundle, frames=1)
    assert isinstance(prediction, Prediction)
    out = tmp_path / "live.avi"
    recorder = Recorder(out, live=True, fps=10)
    image = cv2.imread(str(_still(tmp_path)))
    assert image is not None
    for index, moment in enumerate((100.0, 100.1, 100.12, 101.0)):
        recorder.write(prediction, Captured(image, index, moment, moment))
    recorder.close()
    video = cv2.VideoCapture(str(out))
    count = 0
    while video.read()[0]:
        count += 1
    assert count == 11  # one second at ten frames a second, both ends included


def _still(folder: Path) -> Path:
    import numpy as np

    path = folder / "still.png"
    cv2.imwrite(str(path), np.full((48, 64, 3), 90, np.uint8))
    return path


def test_a_record_name_without_a_known_kind(tmp_path: Path) -> None:
    with pytest.raises(EdgeCnnError, match=r"\.mp4, \.mkv, \.avi"):
        Recorder(tmp_path / "x.txt", live=False, fps=None)
