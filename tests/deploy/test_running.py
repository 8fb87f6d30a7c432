"""What is started on a board: in the foreground, or by systemd.

No systemd runs where tests do: the boards here have a `systemctl` that notes what it is asked,
and a `tee` that writes the unit beside it instead of into /etc.
"""

import json
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BundleWriter = Callable[..., Path]
RUN = ("--source", "synthetic", "--frames", "3", "--jsonl", "-")


def test_in_the_foreground(user: Any, board: Any, old_bundle: Path) -> None:
    done = user.deploys(old_bundle, "pi", "--run", "--", *RUN)
    assert done.returncode == 0, done.stderr
    # Nothing but the program's own lines on stdout.
    assert [json.loads(line)["frame"] for line in done.stdout.splitlines()] == [0, 1, 2]
    failed = user.deploys(old_bundle, "pi", "--run", "--", "--source", "/nowhere.mp4")
    assert failed.returncode == 2
    assert "/nowhere.mp4" in failed.stderr


@pytest.fixture
def systemd(board: Any) -> Path:
    """Makes the board one with a systemd; the folder holds its unit and `calls`."""
    folder = board.folder / "systemd"
    folder.mkdir()
    programs = {
        # A restart fails where the current bundle's manifest or the unit says so.
        "systemctl": f"""
            echo "$@" >> {folder}/calls
            case "$1" in
                show) echo {folder}/edgecnn.service ;;
                restart) ! grep -q -e '"note": "unable"' -e nowhere \\
                    {board.root}/current/bundle/manifest.json {folder}/edgecnn.service ;;
            esac""",
        "journalctl": "echo edgecnn: starting; echo edgecnn: no such camera",
        "tee": f'cat > {folder}/"$(basename "$1")"',
        "sudo": '[ "$1" = -n ] && shift; exec "$@"',
    }
    for name, text in programs.items():
        (board.commands / name).write_text(f"#!/bin/sh\n{text}\n")
        (board.commands / name).chmod(0o755)
    return Path(folder)


def calls(systemd: Path) -> list[str]:
    """What systemctl was asked to change since the last time."""
    made = (systemd / "calls").read_text().splitlines()
    (systemd / "calls").write_text("")
    return [call for call in made if not call.startswith("show ")]


def test_the_unit_runs_whatever_is_current(
    user: Any, board: Any, systemd: Path, old_bundle: Path, write_bundle: BundleWriter
) -> None:
    done = user.deploys(old_bundle, "pi", "--service", "--", "--source", "a b", "--max-fps", "5")
    assert done.returncode == 0, done.stderr
    restart = "restart edgecnn.service"
    assert calls(systemd) == ["daemon-reload", "enable edgecnn.service", restart]
    unit = (systemd / "edgecnn.service").read_text()
    settings = dict(line.split("=", 1) for line in unit.splitlines() if "=" in line)
    root = board.root
    assert shlex.split(settings["ExecStart"]) == [
        *(f"{root}/current/venv/bin/python", "-m", "edgecnn", "run", f"{root}/current/bundle"),
        *("--source", "a b", "--max-fps", "5"),
    ]
    assert settings["WorkingDirectory"] == str(root)
    # From now on only what is new needs a restart, and a rollback does.
    for words, expected in (
        ((old_bundle, "pi"), []),
        ((write_bundle("new"), "pi"), [restart]),
        (("--rollback", "pi"), [restart]),
    ):
        done = user.types("deploy", *words)
        assert done.returncode == 0, done.stderr
        assert calls(systemd) == expected


def test_a_release_that_does_not_come_up_is_taken_back(
    user: Any, board: Any, systemd: Path, write_bundle: BundleWriter
) -> None:
    old, unit = board.current, systemd / "edgecnn.service"
    unit.write_text("# as before\n")
    done = user.deploys(write_bundle("unable"), "pi")
    assert done.returncode == 1
    assert "does not start: no such camera; what ran before runs again" in done.stderr
    assert board.current == old
    # Nor with options that do not work.
    bundle = write_bundle("able")
    done = user.deploys(bundle, "pi", "--service", "--", "--source", "/nowhere.mp4")
    assert done.returncode == 1
    assert "what ran before runs again" in done.stderr
    assert unit.read_text() == "# as before\n"
    assert board.current == old


def test_no_way_to_root(user: Any, board: Any, systemd: Path, write_bundle: BundleWriter) -> None:
    old = board.current
    (board.commands / "id").write_text("#!/bin/sh\necho 1000\n")
    (board.commands / "id").chmod(0o755)
    (board.commands / "sudo").write_text(
        "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n"
    )
    done = user.deploys(write_bundle("new"), "pi", "--service")
    assert done.returncode == 1
    assert "it needs root, or sudo without a password (sudo: a password is required)" in done.stderr
    assert board.current == old


def test_the_unit_is_one_that_systemd_takes(
    user: Any, board: Any, systemd: Path, old_bundle: Path, tmp_path: Path
) -> None:
    verify = subprocess.run(["sh", "-c", "command -v systemd-analyze"], capture_output=True)
    if verify.returncode:
        pytest.skip("no systemd-analyze here")
    assert user.deploys(old_bundle, "pi", "--service", "--", "--source", "0").returncode == 0
    unit = str(systemd / "edgecnn.service")
    checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert "edgecnn.service" not in checked.stderr, checked.stderr
