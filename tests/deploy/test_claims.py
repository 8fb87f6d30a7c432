"""Two deployments to one board at once: neither clears away what the other brings."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edgecnn.targets.deploy import on_board


class Board:
    """The board's script, run as over SSH, in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.root = home / ".local/share/edgecnn"

    def does(self, operation: str, **arguments: Any) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, on_board.__file__, operation, json.dumps(arguments)],
            env=os.environ | {"HOME": str(self.home)},
            capture_output=True,
            text=True,
        )
        answer: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == ("error" in answer)
        return answer

    def brings(self, name: str) -> None:
        """As a copy and an installation leave them."""
        self.does("claim", bundle=name, venv=f"v-{name}")
        for path in (f"bundles/{name}/manifest.json", f"venvs/v-{name}/.complete"):
            (self.root / path).parent.mkdir(parents=True)
            (self.root / path).write_text("{}")

    def switches(self, name: str) -> dict[str, Any]:
        return self.does("switch", bundle=name, venv=f"v-{name}")

    @property
    def current(self) -> str:
        assert (self.root / "current/bundle/manifest.json").exists(), "current dangles"
        return (self.root / "current").readlink().name


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


def test_what_another_brings_is_kept_until_it_switches(board: Board) -> None:
    board.brings("slow")
    for name in ("one", "two", "three"):
        board.brings(name)
        assert board.switches(name)["current"] == f"{name}@v-{name}"
    assert {path.name for path in (board.root / "bundles").iterdir()} == {"slow", "two", "three"}
    assert board.switches("slow")["current"] == board.current == "slow@v-slow"
    assert {path.name for path in (board.root / "venvs").iterdir()} == {"v-three", "v-slow"}
    assert not (board.root / "claims").exists()


def test_a_switch_to_what_is_not_there_fails_and_changes_nothing(board: Board) -> None:
    board.brings("old")
    board.switches("old")
    board.brings("new")
    (board.root / "bundles/new/manifest.json").unlink()
    assert "is not there" in board.switches("new")["error"]
    assert board.current == "old@v-old"


def test_what_nobody_brings_any_more_is_cleared_away(board: Board) -> None:
    board.brings("given up")
    long_ago = time.time() - on_board.CLAIMED_S - 1
    for claim in (board.root / "claims").iterdir():
        os.utime(claim, (long_ago, long_ago))
    board.brings("new")
    board.switches("new")
    assert {path.name for path in (board.root / "bundles").iterdir()} == {"new"}
    assert "is not there" in board.switches("given up")["error"]
