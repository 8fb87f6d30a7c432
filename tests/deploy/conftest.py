"""Boards on loopback: a real sshd with its own port and keys, a home folder for each board."""

import getpass
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from edgecnn import golden
from edgecnn.bundle import MANIFEST, describe_file
from edgecnn.golden import Golden
from edgecnn.targets.classifier import load
from edgecnn.targets.engines import probe

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
HERE = Path(__file__).parent
SITE_PACKAGES = f"lib/python3.{sys.version_info[1]}/site-packages"
NOT_THERE = ("edgecnn", "onnxruntime", "openvino")
RUNTIMES = {"tflite": "litert", "onnx": "onnxruntime", "openvino": "openvino"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if SSHD is None:
        missing = pytest.mark.skip(reason="no sshd here: apt-get install openssh-server")
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(missing)


@dataclass
class SshBoard:
    """A board: an sshd whose sessions have this home folder and this PATH."""

    folder: Path
    python: Path
    home: Path = field(init=False)
    port: int = field(init=False)
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.home = self.folder / "home"
        self.home.mkdir(parents=True)
        commands = self.commands = self.folder / "bin"
        commands.mkdir()
        (commands / "python3").symlink_to(self.python)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        for name in ("host_key", "user_key"):
            self.make_key(name)
        self.log = self.folder / "sshd.log"
        settings = {
            "Port": self.port,
            "ListenAddress": "127.0.0.1",
            "HostKey": self.folder / "host_key",
            "AuthorizedKeysFile": self.folder / "user_key.pub",
            "PidFile": self.folder / "sshd.pid",
            "StrictModes": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "SetEnv": f"HOME={self.home} PATH={commands}:/usr/bin:/bin:/usr/sbin",
        }
        config = self.folder / "sshd_config"
        config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists when it is root
        self.start()

    def make_key(self, name: str) -> None:
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)]
        subprocess.run(keygen, check=True)

    def start(self, largest_file: int | None = None) -> None:
        assert SSHD is not None
        with self.log.open("a") as log:
            command = [SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        if largest_file:
            resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (largest_file,) * 2)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError(self.log.read_text())

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    @property
    def root(self) -> Path:
        return self.home / ".local/share/edgecnn"

    @property
    def packages(self) -> Path:
        """Where a user's own packages are: a venv made with --system-site-packages sees them."""
        return self.home / ".local" / SITE_PACKAGES

    @property
    def requirements(self) -> list[str]:
        """What the edgecnn that is installed there asks for."""
        (installed,) = self.root.glob(f"current/venv/{SITE_PACKAGES}/edgecnn-*/METADATA")
        lines = installed.read_text().splitlines()
        start = "Requires-Dist: "
        return [line.removeprefix(start) for line in lines if line.startswith(start)]

    @property
    def current(self) -> str:
        return (self.root / "current").resolve().name

    @property
    def previous(self) -> str:
        return (self.root / "previous").resolve().name

    def sessions(self) -> int:
        """Connections that are open."""
        here = psutil.Process(self._process.pid)
        return len(here.children())

    def config(self, name: str, known_hosts: Path) -> str:
        """Its part of a user's ssh configuration."""
        return f"""
            Host {name}
                HostName 127.0.0.1
                Port {self.port}
                User {getpass.getuser()}
                IdentityFile {self.folder / "user_key"}
                IdentitiesOnly yes
                UserKnownHostsFile {known_hosts}
            """

    def host_key(self) -> str:
        return f"[127.0.0.1]:{self.port} {(self.folder / 'host_key.pub').read_text()}"


@pytest.fixture(scope="session")
def board_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a board has installed system-wide: all that edgecnn needs, and not edgecnn.

    One engine, for the check on a board tries out several.
    """
    folder = tmp_path_factory.mktemp("packages")
    here = next(Path(p) for p in sys.path if (Path(p) / "numpy/__init__.py").exists())
    for path in here.iterdir():
        if path.suffix != ".pth" and not any(name in path.name for name in NOT_THERE):
            (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture(scope="session")
def make_board(
    tmp_path_factory: pytest.TempPathFactory, board_packages: Path
) -> Iterator[Callable[[], SshBoard]]:
    """Starts a board with Python and the packages, without edgecnn."""
    boards = []

    def make() -> SshBoard:
        python = Path(sys.base_prefix) / f"bin/python3.{sys.version_info[1]}"
        board = SshBoard(tmp_path_factory.mktemp("board"), python)
        boards.append(board)
        board.packages.mkdir(parents=True)
        (board.packages / "packages.pth").write_text(f"{board_packages}\n")
        return board

    yield make
    for board in boards:
        board.stop()


@dataclass
class User:
    """Somebody at a shell whose `ssh` reads this configuration; ssh itself is the real one."""

    folder: Path
    known_hosts: Path = field(init=False)

    def __post_init__(self) -> None:
        self.known_hosts = self.folder / "known_hosts"
        self.known_hosts.touch()
        ssh = self.folder / "bin/ssh"
        ssh.parent.mkdir()
        real = shutil.which("ssh")
        # ssh looks for its configuration in the home of /etc/passwd, which a test has not.
        ssh.write_text(
            "#!/bin/sh\n"
            f'[ -z "$LINK" ] || link="{sys.executable} {HERE / "link.py"}"\n'
            f'exec $link {real} -F {self.folder}/config "$@"\n'
        )
        ssh.chmod(0o755)
        (self.folder / "config").touch()

    def knows(self, name: str, board: SshBoard, *, key: bool = True) -> None:
        with (self.folder / "config").open("a") as config:
            config.write(board.config(name, self.known_hosts))
        if key:
            with self.known_hosts.open("a") as known:
                known.write(board.host_key())

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}

    def start(self, *words: str | Path, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "edgecnn", *map(str, words)],
            cwd=self.folder,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a terminal's Ctrl-C reaches all of them
        )

    def types(self, *words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        with self.start(*words, **environment) as process:
            out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def deploys(self, *words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.types("deploy", "--system-site-packages", *words, **environment)


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path)


BundleWriter = Callable[..., Path]


@pytest.fixture(scope="session")
def write_bundle(tmp_path_factory: pytest.TempPathFactory) -> BundleWriter:
    """Writes a real bundle: `ballast` bytes more, golden answers that are right or wrong."""

    def write(note: str, *, ballast: int = 0, right: bool = True) -> Path:
        folder = tmp_path_factory.mktemp("bundles") / "colours-int8"
        shutil.copytree(probe.bundle("colours").path, folder)
        manifest = json.loads((folder / MANIFEST).read_text())
        manifest["note"] = note
        if ballast:
            (folder / "ballast.bin").write_bytes(os.urandom(ballast))
            heavy = vars(describe_file(folder, "ballast.bin"))
            manifest["artifacts"]["tflite"]["files"].append(heavy)
        classifiers = {name: load(folder, RUNTIMES[name]) for name in manifest["artifacts"]}

        def answer(name: str, image: np.ndarray) -> np.ndarray:
            probabilities = classifiers[name].infer(image)
            return probabilities if right else np.roll(probabilities, 1)

        frame = np.full((48, 64, 3), (0, 0, 255), np.uint8)
        preprocessing = next(iter(classifiers.values())).bundle.preprocessing
        Golden.make([frame], preprocessing, answer, list(classifiers)).write(folder)
        manifest["golden"] = vars(describe_file(folder, golden.FILE))
        (folder / MANIFEST).write_text(json.dumps(manifest))
        return folder

    return write


@pytest.fixture(scope="session")
def old_bundle(write_bundle: BundleWriter) -> Path:
    """What runs on a board before the tests begin."""
    return write_bundle("old")


@dataclass(frozen=True)
class Fresh:
    """A first deployment, and the board after it."""

    board: SshBoard
    outcome: dict[str, Any]
    said: str


@pytest.fixture(scope="session")
def fresh(
    tmp_path_factory: pytest.TempPathFactory,
    make_board: Callable[[], SshBoard],
    old_bundle: Path,
) -> Fresh:
    """`edgecnn deploy` to a board that has no edgecnn."""
    user, board = User(tmp_path_factory.mktemp("user")), make_board()
    user.knows("pi", board)
    done = user.deploys(old_bundle, "pi", "--json")
    assert done.returncode == 0, done.stderr
    (outcome,) = json.loads(done.stdout)["boards"]
    return Fresh(board, outcome, done.stderr)


@pytest.fixture
def new_board(make_board: Callable[[], SshBoard], fresh: Fresh) -> Callable[[], SshBoard]:
    """Makes another board where that bundle is current: its files are a copy."""

    def make() -> SshBoard:
        board = make_board()
        shutil.copytree(fresh.board.root, board.root, symlinks=True)
        return board

    return make


@pytest.fixture
def board(new_board: Callable[[], SshBoard], user: User) -> SshBoard:
    """A board that the user knows as `pi`."""
    board = new_board()
    user.knows("pi", board)
    return board
