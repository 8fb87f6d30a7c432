"""A disk that is full: known before, or found out in the middle."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

BundleWriter = Callable[..., Path]
DISK = 64 << 20


@pytest.fixture
def small_board(make_board: Callable[[], Any], fresh: Any, user: Any) -> Iterator[Any]:
    """A board whose deployments have a disk of 64 MB, on which that bundle is current."""
    board = make_board()
    board.root.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(board.root)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    shutil.copytree(fresh.board.root, board.root, symlinks=True, dirs_exist_ok=True)
    user.knows("pi", board)
    yield board
    board.stop()
    subprocess.run(["umount", "--lazy", str(board.root)], check=True)


def reason(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done.stderr
    (board,) = json.loads(done.stdout)["boards"]
    return str(board["reason"])


def test_too_little_room_is_known_before(
    user: Any, small_board: Any, write_bundle: BundleWriter
) -> None:
    old = small_board.current
    done = user.deploys(write_bundle("big", ballast=DISK), "pi", "--json")
    assert "77 MB are needed" in reason(done)
    assert not (small_board.root / "staging").exists()
    assert small_board.current == old


def test_a_disk_that_fills_up_meanwhile(
    user: Any, small_board: Any, write_bundle: BundleWriter, wait_for: Callable[..., None]
) -> None:
    old, bundle = small_board.current, write_bundle("heavy", ballast=4_000_000)
    staging, logs = small_board.root / "staging", small_board.root / "logs"
    with user.start(
        *("deploy", "--system-site-packages", bundle, "pi", "--json"), LINK="slow"
    ) as copying:
        wait_for(
            lambda: copying.poll() is not None or (staging.exists() and any(staging.iterdir())),
            "bytes on the board",
        )
        with pytest.raises(OSError, match="No space left"):
            logs.write_bytes(bytes(DISK))
        out, err = copying.communicate()
    done = subprocess.CompletedProcess([], copying.returncode, out, err)
    assert reason(done) == "its disk is full"
    assert small_board.current == old
    logs.unlink()
    again = user.deploys(bundle, "pi", "--json")
    assert again.returncode == 0, again.stderr
    assert "copying the rest" in again.stderr
    assert small_board.current != old
    assert small_board.previous == old


def test_a_limit_to_what_may_be_written(user: Any, board: Any, write_bundle: BundleWriter) -> None:
    old = board.current
    board.stop()
    board.start(largest_file=1_000_000)
    done = user.deploys(write_bundle("heavy", ballast=2_000_000), "pi", "--json")
    assert reason(done) == "its disk is full"
    assert board.current == old
