"""Boards that trust keys, and boards that are offered what is older than what they run."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import edgecnn
from edgecnn.bundle import MANIFEST, SIGNATURE

BundleWriter = Callable[..., Path]


def make_key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-ted25519", "-N", "", "-C", path.name, "-f", path])
    return path


def outcome(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.stdout, done.stderr
    (board,) = json.loads(done.stdout)["boards"]
    return dict(board)


@pytest.fixture
def key(board: Any, tmp_path: Path) -> Path:
    """A key that the board trusts."""
    key = make_key(tmp_path / "release")
    trusted = board.home / ".config/edgecnn/trusted_keys"
    trusted.parent.mkdir(parents=True)
    shutil.copy(key.with_suffix(".pub"), trusted)
    return key


def test_a_board_that_trusts_a_key_takes_nothing_else(
    user: Any, board: Any, write_bundle: BundleWriter, key: Path, tmp_path: Path
) -> None:
    new, before = write_bundle("new"), board.current
    done = user.types("deploy", new, "pi", "--json")
    assert done.returncode == 1
    assert "is not signed" in outcome(done)["reason"]
    edgecnn.sign(new, make_key(tmp_path / "somebody"))
    assert (
        "not among the trusted keys" in outcome(user.types("deploy", new, "pi", "--json"))["reason"]
    )
    assert board.current == before
    edgecnn.sign(new, key)
    found = outcome(user.types("deploy", new, "pi", "--json"))
    assert found["ok"], found
    assert found["signer"] == str(edgecnn.verify(new, key.with_suffix(".pub")))
    assert board.current == found["current"] != before
    # As it was signed, whatever of it this board can run; so it can be verified there again.
    there = board.root / "current/bundle"
    for file in new.iterdir():
        assert (there / file.name).read_bytes() == file.read_bytes()
    assert edgecnn.verify(there, key.with_suffix(".pub")).name == "release"


def test_a_board_that_trusts_nobody_yet_says_so(
    user: Any, board: Any, write_bundle: BundleWriter, tmp_path: Path
) -> None:
    new = write_bundle("new")
    edgecnn.sign(new, make_key(tmp_path / "release"))
    done = user.types("deploy", new, "pi", "--json")
    assert outcome(done)["ok"]
    assert outcome(done)["signer"] is None
    assert "its signature was not checked: this board trusts no keys yet" in done.stderr
    assert (board.root / "current/bundle" / SIGNATURE).is_file()


def test_an_older_bundle_comes_back_only_when_asked(
    user: Any, board: Any, write_bundle: BundleWriter
) -> None:
    def made(note: str, day: str) -> Path:
        bundle = write_bundle(note)
        manifest = json.loads((bundle / MANIFEST).read_text())
        (bundle / MANIFEST).write_text(json.dumps(manifest | {"created_at": day}))
        return bundle

    newer, older = (
        made("newer", "2031-02-03T04:05:06+00:00"),
        made("older", "2031-02-03T06:05:05+02:00"),
    )
    assert outcome(user.types("deploy", newer, "pi", "--json"))["ok"]
    current = board.current
    reason = outcome(user.types("deploy", older, "pi", "--json"))["reason"]
    assert "was made on 2031-02-03 04:05 UTC, before the current one" in reason
    assert board.current == current
    assert outcome(user.types("deploy", "--downgrade", older, "pi", "--json"))["ok"]
    assert board.current != current
    # Going back is asking, in either direction.
    assert outcome(user.types("deploy", "--rollback", "pi", "--json"))["current"] == current
