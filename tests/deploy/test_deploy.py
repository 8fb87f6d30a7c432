"""Deploying over a real sshd on loopback, as a user does."""

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgecnn.targets.deploy import on_board

ROOT = Path(__file__).parents[2]
BundleWriter = Callable[..., Path]


def outcome(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Of a deployment to one board, with --json."""
    assert done.stdout, done.stderr
    (board,) = json.loads(done.stdout)["boards"]
    return dict(board)


def sizes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_a_board_with_nothing_but_python(fresh: Any, tmp_path: Path) -> None:
    assert fresh.outcome["ok"]
    assert fresh.outcome["current"] == fresh.board.current
    assert fresh.outcome["current"].startswith("colours-int8-")
    assert fresh.outcome["previous"] is None
    assert fresh.outcome["sent_bytes"] > sizes(fresh.board.root / "current/bundle")
    steps = re.findall(r"^pi: (\w+)", fresh.said, re.MULTILINE)
    assert steps == ["looking", "copying", "installing", "copying", "checking", "current"]
    # What is current runs there with what is installed there, not with what runs here.
    command = ["current/venv/bin/python", "-m", "edgecnn", "run", "current/bundle"]
    ran = subprocess.run(
        [*command, "--source", "synthetic", "--frames", "2", "--jsonl", "-"],
        cwd=fresh.board.root,
        env={"HOME": str(fresh.board.home), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert [json.loads(line)["frame"] for line in ran.stdout.splitlines()] == [0, 1]


def test_a_board_without_a_desktop_gets_an_opencv_without_windows(
    user: Any, make_board: Callable[[], Any], old_bundle: Path
) -> None:
    board = make_board()
    user.knows("pi", board)
    # Python reads it at its start: libraries of a desktop are not there for this board.
    (board.packages / "usercustomize.py").write_text(
        "import ctypes\n"
        "class CDLL(ctypes.CDLL):\n"
        "    def __init__(self, name, *rest, **more):\n"
        "        if name and 'libGL' in str(name):\n"
        "            raise OSError(f'{name}: cannot open shared object file')\n"
        "        super().__init__(name, *rest, **more)\n"
        "ctypes.CDLL = CDLL\n"
    )
    there = board.packages / "opencv_python_headless-5.0.0.93.dist-info"
    there.mkdir()
    (there / "METADATA").write_text("Name: opencv-python-headless\nVersion: 5.0.0.93\n")
    done = outcome(user.deploys(old_bundle, "pi", "--json"))
    assert done["ok"], done
    assert "opencv-python-headless>=4.10" in board.requirements
    # An update looks at the board anew, and finds all in place.
    assert outcome(user.deploys(old_bundle, "pi", "--json"))["sent_bytes"] == 0


def test_a_second_time_nothing_is_sent(user: Any, board: Any, old_bundle: Path) -> None:
    def stamps() -> dict[Path, int]:
        files = (p for p in board.root.rglob("*") if "lib" not in p.parts and p.is_file())
        return {path: path.stat().st_mtime_ns for path in files if path.name != ".lock"}

    before = stamps()
    # Without repeating how it was installed: an update takes nothing away.
    done = outcome(user.types("deploy", old_bundle, "pi", "--json"))
    assert done["ok"]
    assert done["sent_bytes"] == 0
    assert done["previous"] is None
    assert stamps() == before


def test_which_numpy_an_opencv_of_the_board_must_have() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"numpy>={'.'.join(map(str, on_board.NUMPY))}" in wanted


@pytest.mark.parametrize(("numpy", "brings"), [("1.26.4", []), ("1.24.2", ["opencv-python>=4.10"])])
def test_the_board_s_own_opencv_is_used_where_it_opens_pipelines(
    user: Any, make_board: Callable[[], Any], old_bundle: Path, numpy: str, brings: list[str]
) -> None:
    """As on a Jetson, whose CSI cameras need it, and not as in Debian 12."""
    board = make_board()
    user.knows("pi", board)
    (board.packages / "usercustomize.py").write_text(
        "import cv2, numpy, sys\n"
        "cv2.getBuildInformation = lambda: '    GStreamer:      YES (1.24.2)\\n'\n"
        f"if 'getBuildInformation' in ' '.join(sys.orig_argv): numpy.__version__ = '{numpy}'\n"
    )
    done = outcome(user.deploys(old_bundle, "pi", "--json"))
    assert done["ok"], done
    assert [wanted for wanted in board.requirements if wanted.startswith("opencv")] == brings


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_copy_goes_on_where_it_stopped(
    user: Any,
    board: Any,
    write_bundle: BundleWriter,
    wait_for: Callable[..., None],
    how: signal.Signals,
) -> None:
    old, bundle = board.current, write_bundle("heavy", ballast=4_000_000)
    staging = board.root / "staging"
    with user.start("deploy", "--system-site-packages", bundle, "pi", LINK="slow") as copying:
        wait_for(lambda: staging.exists() and sizes(staging) > 1_000_000, "bytes on the board")
        if how == signal.SIGINT:
            os.killpg(copying.pid, how)
            _, said = copying.communicate()
            assert copying.returncode == 130
            assert said.endswith("edgecnn: Interrupted.\n")
        else:
            copying.kill()
    wait_for(lambda: board.sessions() == 0, "the board's sessions end")
    assert board.current == old
    arrived = sizes(staging)
    assert 1_000_000 < arrived < 4_000_000
    done = user.deploys(bundle, "pi", "--json")
    assert outcome(done)["ok"], done.stderr
    assert "copying the rest of colours-int8-" in done.stderr
    assert outcome(done)["sent_bytes"] == sizes(board.root / "current/bundle") - arrived
    assert outcome(done)["previous"] == board.previous == old
    assert not staging.exists()


def test_a_part_with_wrong_bytes_is_sent_again(
    user: Any, board: Any, write_bundle: BundleWriter
) -> None:
    bundle = write_bundle("heavy", ballast=1_000_000)
    manifest = json.loads((bundle / "manifest.json").read_text())
    heavy = manifest["artifacts"]["tflite"]["files"][-1]
    (board.root / "staging").mkdir()
    (board.root / "staging" / heavy["sha256"]).write_bytes(bytes(400_000))
    done = outcome(user.deploys(bundle, "pi", "--json"))
    assert done["ok"]
    # The rest of it first, then all of it; everything else once.
    assert done["sent_bytes"] == sizes(board.root / "current/bundle") + 600_000


def test_a_link_that_damages_everything(user: Any, board: Any, write_bundle: BundleWriter) -> None:
    old = board.current
    done = user.deploys(write_bundle("new"), "pi", "--json", LINK="damaging")
    assert done.returncode == 1
    assert "arrived damaged twice" in outcome(done)["reason"]
    assert board.current == old


def test_a_file_that_rotted_on_the_board(user: Any, board: Any, old_bundle: Path) -> None:
    model = board.root / "current/bundle/model.tflite"
    good = model.read_bytes()
    model.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    done = outcome(user.deploys(old_bundle, "pi", "--json"))
    assert done["ok"]
    assert done["sent_bytes"] == len(good)
    assert model.read_bytes() == good


def test_wrong_answers_on_the_board(user: Any, board: Any, write_bundle: BundleWriter) -> None:
    old = board.current
    done = user.deploys(write_bundle("wrong", right=False), "pi")
    assert done.returncode == 1
    assert "gives other answers here than at export" in done.stderr
    assert "edgecnn: pi: " in done.stderr
    assert board.current == old


def test_rollback_and_what_is_kept(user: Any, board: Any, write_bundle: BundleWriter) -> None:
    old = board.current
    nothing = user.types("deploy", "--rollback", "pi")
    assert nothing.returncode == 1
    assert "no previous release" in nothing.stderr
    assert board.current == old
    second = outcome(user.deploys(write_bundle("second"), "pi", "--json"))["current"]
    for current, previous in ((old, second), (second, old)):
        back = outcome(user.types("deploy", "--rollback", "pi", "--json"))
        assert (back["current"], back["previous"]) == (current, previous)
        assert (board.current, board.previous) == (current, previous)
    third = outcome(user.deploys(write_bundle("third"), "pi", "--json"))["current"]
    assert (board.current, board.previous) == (third, second)
    kept = {path.name for path in (board.root / "bundles").iterdir()}
    assert kept == {name.partition("@")[0] for name in (third, second)}
    assert {path.name for path in (board.root / "releases").iterdir()} == {third, second}


def test_one_board_of_two_fails(
    user: Any, board: Any, new_board: Callable[[], Any], write_bundle: BundleWriter
) -> None:
    stranger = new_board()
    user.knows("stranger", stranger, key=False)
    old = stranger.current
    done = user.deploys(write_bundle("new"), "stranger", "pi", "--json")
    assert done.returncode == 1
    failed, deployed = json.loads(done.stdout)["boards"]
    assert not failed["ok"]
    assert "run `ssh stranger` once by hand" in failed["reason"]
    assert f"edgecnn: stranger: {failed['reason']}\n" in done.stderr
    assert deployed["ok"]
    assert deployed["current"] == board.current != old
    assert stranger.current == old


@pytest.mark.slow
def test_a_board_without_internet(
    user: Any, make_board: Callable[[], Any], old_bundle: Path, tmp_path: Path
) -> None:
    described = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:"]
    packages = [*described["dependencies"], *described["optional-dependencies"]["mqtt"]]
    wheels = tmp_path / "wheels"
    subprocess.run(
        [*download, "--constraint", ROOT / "constraints.txt", "--dest", wheels, *packages],
        check=True,
    )
    board = make_board()
    user.knows("pi", board)
    done = user.types("deploy", old_bundle, "pi", "--wheels", wheels, "--with", "mqtt", "--json")
    assert done.returncode == 0, done.stderr
    assert outcome(done)["engine"].startswith("ai-edge-litert ")
    # What the installation there cannot run has not come along.
    there = {path.name for path in (board.root / "current/bundle").iterdir()}
    assert there == {"manifest.json", "labels.txt", "golden.npz", "model.tflite"}
    assert not (board.root / "wheels").exists()
    venv = board.root / "current/venv"
    assert sum(p.stat().st_size for p in venv.resolve().rglob("*") if p.is_file()) < 400_000_000
    subprocess.run([venv / "bin/python", "-c", "import paho.mqtt.client"], check=True)
