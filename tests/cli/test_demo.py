"""What works right after `pip install edgecnn`: the demo, versions, completion."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.metadata import version
from pathlib import Path

import cv2

import edgecnn
from edgecnn.cli.demo import FOLDER


def test_its_network_knows_its_pictures() -> None:
    classify = edgecnn.load(FOLDER / "bundle", runtime="litert")
    pictures = sorted((FOLDER / "pictures").iterdir())
    right = 0
    for picture in pictures:
        frame = cv2.imread(str(picture))
        assert frame is not None
        right += picture.stem.split("_")[1] in classify(frame).label
    assert len(pictures) == 120
    assert right >= 100


def test_it_is_small() -> None:
    size = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file())
    assert size < 500_000


def test_it_shows_a_page_and_needs_neither_tensorflow_nor_a_camera(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    (tmp_path / "tensorflow.py").write_text("raise ImportError('not on a board')")
    process = subprocess.Popen(
        [sys.executable, "-m", "edgecnn", "demo", "--web", address],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://{address}/status", timeout=5) as events:
                    said = next(line for line in events if b'"top"' in line)
                break
            except (OSError, StopIteration):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert b'"probability"' in said
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors
    assert "edgecnn export efficientnet_lite0 --int8" in errors


def test_the_version_names_what_else_decides() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "edgecnn", "--version"], capture_output=True, text=True, check=True
    ).stdout
    assert said.startswith(f"edgecnn {edgecnn.__version__}\n")
    assert f"ai-edge-litert {version('ai-edge-litert')}\n" in said


def test_names_complete() -> None:
    asked = {"COMP_WORDS": "edgecnn exp", "COMP_CWORD": "1", "_EDGECNN_COMPLETE": "bash_complete"}
    script = Path(sys.executable).parent / "edgecnn"
    said = subprocess.run([script], env=os.environ | asked, capture_output=True, text=True).stdout
    assert said.split() == ["plain,export", "plain,explain"]
