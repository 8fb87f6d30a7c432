"""Boards that cannot be reached or used: one line each, and nothing on them is changed."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def reason(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that was said about `pi`."""
    assert done.returncode == 1, done.stderr
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("edgecnn: "))
    return line.removeprefix("edgecnn: pi: ")


def test_a_board_that_is_away(user: Any, board: Any, old_bundle: Path) -> None:
    board.stop()
    assert "cannot be reached: ssh: connect to host 127.0.0.1" in reason(
        user.deploys(old_bundle, "pi")
    )


def test_a_board_with_another_key(user: Any, board: Any, old_bundle: Path) -> None:
    (board.folder / "host_key").unlink()
    (board.folder / "host_key.pub").unlink()
    board.make_key("host_key")
    board.stop()
    board.start()
    assert "host key is not the one you know" in reason(user.deploys(old_bundle, "pi"))


def test_a_board_that_does_not_know_us(user: Any, board: Any, old_bundle: Path) -> None:
    (board.folder / "user_key.pub").write_text("")
    assert "`ssh-copy-id pi`" in reason(user.deploys(old_bundle, "pi"))


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (None, "it has no python9: sudo apt install python3 python3-venv"),
        ("echo 3 9", "its python9 is 3.9, and edgecnn needs 3.11 or newer"),
        ("echo none >&2; exit 1", "its python9 does not run: none"),
    ],
)
def test_boards_without_a_usable_python(
    user: Any, board: Any, old_bundle: Path, program: str | None, message: str
) -> None:
    if program:
        python = board.commands / "python9"
        python.write_text(f"#!/bin/sh\n{program}\n")
        python.chmod(0o755)
    assert message in reason(user.deploys(old_bundle, "pi", "--python", "python9"))


def test_packages_that_cannot_be_installed(
    user: Any, make_board: Callable[[], Any], old_bundle: Path, tmp_path: Path
) -> None:
    board = make_board()
    user.knows("pi", board)
    (tmp_path / "wheels").mkdir()
    assert "holds no wheels" in user.deploys(old_bundle, "pi", "--wheels", "wheels").stderr
    (tmp_path / "wheels" / "nothing-1-py3-none-any.whl").write_bytes(b"")
    # Without the board's own packages there is nothing that edgecnn could use.
    said = reason(user.types("deploy", old_bundle, "pi", "--wheels", "wheels"))
    assert "No matching distribution found" in said
    assert not list((board.root / "venvs").iterdir())
    assert not (board.root / "current").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "pi"], "nowhere is no bundle"),
        (["BUNDLE"], "Which board?"),
        (["--rollback", "pi", "--run"], "--rollback takes boards only"),
        (["BUNDLE", "pi", "--", "--source", "0"], "Options after -- are for"),
        (["BUNDLE", "pi", "other", "--run"], "--run is for one board"),
        (["BUNDLE", "pi", "--service", "--", "--sauce", "0"], "No such option '--sauce'"),
    ],
)
def test_wrong_use(user: Any, old_bundle: Path, words: list[str], message: str) -> None:
    done = user.types("deploy", *(old_bundle if word == "BUNDLE" else word for word in words))
    assert done.returncode == 2, done.stderr
    assert message in done.stderr


def test_a_bundle_that_nothing_there_would_run(
    user: Any, make_board: Callable[[], Any], old_bundle: Path
) -> None:
    user.knows("pi", make_board())
    manifest = json.loads((old_bundle / "manifest.json").read_text())
    del manifest["artifacts"]["tflite"]
    bundle = shutil.copytree(old_bundle, user.folder / "bundle")
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    assert "--with onnx or --with openvino" in reason(user.types("deploy", bundle, "pi"))
