"""One command from here to an emulated board without internet, over SSH."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.arm, pytest.mark.slow]
WHEELS = Path(__file__).parents[2] / ".cache/arm/carried13"
BOOT_S = 120


@dataclass(frozen=True)
class User:
    """Somebody who has reached the board before."""

    folder: Path

    def types(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """`edgecnn WORDS`."""
        return subprocess.run(
            [sys.executable, "-m", "edgecnn", *map(str, words)],
            cwd=self.folder,
            env=os.environ | {"PATH": f"{self.folder}/bin:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=500,
        )

    def on_board(self, command: str) -> subprocess.CompletedProcess[str]:
        """A line of the board's shell."""
        ssh = [str(self.folder / "bin/ssh"), "-o", "BatchMode=yes", "board", command]
        return subprocess.run(ssh, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def user(
    machine: Callable[..., list[str | Path]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[User]:
    """Whose board has started and answers."""
    folder = tmp_path_factory.mktemp("user")
    given = folder / "given"
    (given / "root/.ssh").mkdir(parents=True)
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (given / "root/.ssh/authorized_keys").write_text(key.with_suffix(".pub").read_text())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "config").write_text(
        f"Host board\n HostName 127.0.0.1\n Port {port}\n User root\n IdentityFile {key}\n"
        f" UserKnownHostsFile {folder}/known_hosts\n StrictHostKeyChecking accept-new\n"
    )
    ssh = folder / "bin/ssh"
    ssh.parent.mkdir()
    ssh.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {folder}/config "$@"\n')
    ssh.chmod(0o755)
    said = folder / "console"
    with (
        said.open("w") as console,
        subprocess.Popen(
            machine("serve", given, port=port),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
        ) as board,
    ):
        try:
            someone, deadline = User(folder), time.monotonic() + BOOT_S
            while (tried := someone.on_board("true")).returncode:
                assert time.monotonic() < deadline, said.read_text() + tried.stderr
                time.sleep(1)
            yield someone
        finally:
            board.kill()


@pytest.fixture(scope="module")
def deployed(user: User, lite0_bundle: Path) -> dict[str, Any]:
    """What a first deployment came to."""
    done = user.types("deploy", lite0_bundle, "board", "--wheels", WHEELS, "--json")
    assert done.returncode == 0, (done.stdout, done.stderr)
    (outcome,) = json.loads(done.stdout)["boards"]
    return dict(outcome)


def test_it_is_installed_and_gives_the_right_answers_there(
    user: User, deployed: dict[str, Any]
) -> None:
    """Which includes a trial of its engine, with one thread and with two."""
    assert deployed["engine"].startswith("ai-edge-litert ")
    listed = user.on_board("ls ~/.local/share/edgecnn/current/venv/lib/python3.13/site-packages")
    # It has no desktop.
    assert "opencv_python_headless.libs" in listed.stdout.split()
    assert "opencv_python.libs" not in listed.stdout.split()


def test_it_classifies_there(user: User, deployed: dict[str, Any]) -> None:
    current = "~/.local/share/edgecnn/current"
    run = f"{current}/venv/bin/edgecnn run {current}/bundle --source synthetic --frames 2 --jsonl -"
    done = user.on_board(run)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["frame"] for line in done.stdout.splitlines()] == [0, 1]


def test_its_profile_comes_here_and_is_not_valid(
    user: User, deployed: dict[str, Any], lite0_bundle: Path
) -> None:
    few = ("--runtime", "litert", "--threads", "1", "--runs", "1", "--seconds", "0")
    done = user.types(
        "profile", lite0_bundle, "--target", "root@board", *few, "--processes", "1", "--json"
    )
    assert done.returncode == 0, done.stderr
    (run,) = json.loads(done.stdout)["runs"]
    assert not run["valid"]
    assert any("linux,dummy-virt" in reason for reason in run["invalid_reasons"])


def test_a_second_time_nothing_is_sent(
    user: User, deployed: dict[str, Any], lite0_bundle: Path
) -> None:
    done = user.types("deploy", lite0_bundle, "board", "--wheels", WHEELS, "--json")
    assert done.returncode == 0, done.stderr
    (outcome,) = json.loads(done.stdout)["boards"]
    assert outcome["sent_bytes"] == 0
