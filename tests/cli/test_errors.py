"""Bad input: one clear line on stderr, exit 2, no traceback, nothing half-written."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

Cli = Callable[..., subprocess.CompletedProcess[str]]


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert "This is a bug" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("edgecnn:")]
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0], lines[0]


def test_an_unknown_architecture_suggests_the_nearest(edgecnn_cli: Cli) -> None:
    refused(edgecnn_cli("export", "resnet43"), "resnet43", "did you mean 'resnet34'?")
    refused(edgecnn_cli("analyze", "lenet6"), "did you mean 'lenet5'?")
    refused(edgecnn_cli("export", "runs/lenet6"), "runs/lenet6 does not exist")
    refused(edgecnn_cli("analyze", "lenet6.keras"), "lenet6.keras does not exist")


def test_opencv_on_a_system_without_a_desktop(tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text(
        'raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")'
    )
    done = subprocess.run(
        [sys.executable, "-m", "edgecnn", "targets"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    refused(done, "libGL.so.1", "sudo apt install libgl1", "opencv-python-headless")


def test_an_unknown_command_suggests_the_nearest(edgecnn_cli: Cli) -> None:
    done = edgecnn_cli("exprot", "lenet5")
    assert done.returncode == 2
    assert "Did you mean 'export'?" in done.stderr


def test_calibration_folders_that_cannot_be_used(
    edgecnn_cli: Cli, lenet5_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def export(folder: Path) -> subprocess.CompletedProcess[str]:
        return edgecnn_cli("export", lenet5_run, "--calibration", folder, "--out", out)

    refused(export(tmp_path / "absent"), "is not a folder")
    (empty := tmp_path / "empty").mkdir()
    refused(export(empty), "holds no pictures")
    (broken := tmp_path / "broken").mkdir()
    for index in range(6):
        (broken / f"{index}.jpg").write_bytes(b"no picture at all")
    refused(export(broken), "6 files", "are no whole pictures", "--skip-bad")
    assert not out.exists()


def test_a_bundle_with_a_changed_byte(
    edgecnn_cli: Cli, lenet5_bundle: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(lenet5_bundle, tmp_path / "bundle"))
    data = bytearray((copy / "model.tflite").read_bytes())
    data[1000] ^= 1
    (copy / "model.tflite").write_bytes(data)
    for command in (("run", copy, "--source", "synthetic"), ("profile", copy), ("analyze", copy)):
        refused(edgecnn_cli(*command), "was changed since export")
    refused(edgecnn_cli("evaluate", copy, "--data", "digits"), "was changed since export")


def test_an_output_folder_that_cannot_be_written(edgecnn_cli: Cli, lenet5_run: Path) -> None:
    refused(edgecnn_cli("export", lenet5_run, "--out", "/proc/nowhere/x"), "Cannot write", "--out")


def test_a_camera_that_is_not_there(edgecnn_cli: Cli, lenet5_bundle: Path) -> None:
    done = edgecnn_cli("run", lenet5_bundle, "--runtime", "litert", "--source", "/dev/video77")
    refused(done, "/dev/video77")


def test_labels_the_network_does_not_have(
    edgecnn_cli: Cli, lenet5_bundle: Path, samples: Path
) -> None:
    labels = samples / "photographs" / "labels.csv"
    refused(edgecnn_cli("evaluate", lenet5_bundle, "--data", labels), "none of the network's")


def test_a_missing_extra_names_the_command_that_installs_it(
    lenet5_bundle: Path, tmp_path: Path
) -> None:
    """onnx is made unfindable, as where only the board's install is."""
    hide = (
        "import sys, importlib.abc\n"
        "class Hide(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name.split('.')[0] == 'onnx':\n"
        "            raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Hide())\n"
        "sys.argv = ['edgecnn', 'export', 'lenet5', '--weights', 'random']\n"
        "from edgecnn.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", hide], cwd=tmp_path, capture_output=True, text=True
    )
    refused(done, "onnx", "pip install 'edgecnn[export]'")


def test_ctrl_c_in_the_middle_of_an_export(lenet5_run: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgecnn", "export", str(lenet5_run), "--out", "bundle"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".bundle.making-*")):  # writing has begun
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert "Interrupted." in stderr
    assert list(tmp_path.iterdir()) == []


SWALLOWED = """
import contextlib, signal
from edgecnn.cli.progress import TerminalProgress

before = signal.getsignal(signal.SIGINT)
try:
    with TerminalProgress() as progress:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        progress.step("the next")
        print("it went on")
except KeyboardInterrupt:
    assert signal.getsignal(signal.SIGINT) is before
    print("it ended")
"""


def test_ctrl_c_that_native_code_swallows_ends_the_next_step() -> None:
    # In a process of its own: a signal that goes astray would end the test run.
    done = subprocess.run([sys.executable, "-c", SWALLOWED], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "it ended\n"), done.stderr


def test_flat_calibration_pictures_are_refused(
    edgecnn_cli: Cli, black: Path, tmp_path: Path
) -> None:
    refused(
        edgecnn_cli("export", "lenet5", "--weights", "random", "--calibration", black),
        "show one flat colour",
    )


@pytest.fixture
def black(tmp_path: Path) -> Path:
    (folder := tmp_path / "black").mkdir()
    for index in range(30):
        picture = np.full((32, 32, 3), index % 3, np.uint8)
        assert cv2.imwrite(str(folder / f"{index}.png"), picture)
    return folder


COMMANDS = "zoo analyze train calibrate export evaluate run profile compare targets"


@pytest.mark.parametrize("command", COMMANDS.split())
def test_every_command_has_help_and_is_in_the_readme(edgecnn_cli: Cli, command: str) -> None:
    done = edgecnn_cli(command, "--help")
    assert done.returncode == 0
    assert f"edgecnn {command}" in done.stdout
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert f"edgecnn {command}" in readme


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"},
        {"PYTHONIOENCODING": "latin-1"},
    ],
)
@pytest.mark.parametrize("words", [["zoo"], ["targets"], ["run"]])
def test_a_system_that_knows_few_letters(
    environment: dict[str, str], words: list[str], lenet5_bundle: Path
) -> None:
    if words == ["run"]:
        options = ["--source", "synthetic", "--frames", "1", "--runtime", "litert"]
        words = ["run", str(lenet5_bundle), *options]
    done = subprocess.run(
        [sys.executable, "-m", "edgecnn", *words], capture_output=True, env=os.environ | environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
