"""Emulated boards; `make test-arm` prepares what they are made of (see docs/emulation.md)."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as tflite
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
ARM = ROOT / ".cache" / "arm"
HERE = Path(__file__).parent
ANSWERS = HERE / "answers.py"


@dataclass(frozen=True)
class Board:
    """A board's Python, translated for this processor instruction by instruction.

    Child processes of that Python are translated too: it believes to be `python`, a script that
    starts the emulator.
    """

    python: Path
    environment: dict[str, str] = field(repr=False)

    def run(self, *arguments: str | Path, **overrides: str) -> subprocess.CompletedProcess[str]:
        """`python ARGUMENTS` on the board, with changes to its environment."""
        return subprocess.run(
            [self.python, *map(str, arguments)],
            cwd=self.python.parent,  # in the work tree, `edgecnn` would be another folder
            env=self.environment | overrides,
            capture_output=True,
            text=True,
            timeout=500,
        )

    def edgecnn(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """`edgecnn ARGUMENTS` on the board."""
        return self.run("-m", "edgecnn", *arguments)


def emulated(folder: Path, emulator: str, cpu: str, system: str, version: str = "3.11") -> Board:
    """A board whose launcher is written into `folder`."""
    python, root = folder / f"python-{cpu}", ARM / f"board{system}"
    command = [
        ARM / "emulators/usr/bin" / emulator,
        *("-cpu", cpu, "-L", root, "-0", python, root / f"usr/bin/python{version}"),
    ]
    python.write_text(f'#!/bin/sh\nexec {" ".join(map(str, command))} "$@"\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    environment = {
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
        "PYTHONHOME": str(root / "usr"),
        "PYTHONPATH": f"{ARM / 'edgecnn'}:{ARM / f'wheels{system}'}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return Board(python, environment)


Command = list[str | Path]


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Command]:
    """The command that starts a whole emulated board like a Raspberry Pi 5.

    It runs one of the scripts in `machine/` as its first process, with `given` laid over its
    files. Its console is the command's output. A `port` of this machine leads to its sshd, and
    nothing leads out of it.
    """

    def command(script: str, given: Path, *packages: str, port: int | None = None) -> Command:
        shutil.copy(HERE / "machine" / script, given / "init")
        shutil.copy(HERE / "machine" / "start", given)
        memory_disk = tmp_path_factory.mktemp("machine") / "initrd"
        layers: list[tuple[Path, list[str]]] = [
            (ARM / "board13", ["."]),
            (ARM / "kernel13", ["bin", "lib", "usr/lib", "usr/bin", "modules"]),
            *((ARM, [name]) for name in packages),
            (given, ["."]),
        ]
        with memory_disk.open("wb") as disk:
            # The kernel unpacks archives that follow one another.
            for base, paths in layers:
                archive = ["sh", "-c", 'find "$@" | cpio --quiet -o -H newc', "archive", *paths]
                subprocess.run(archive, cwd=base, stdout=disk, check=True)
        network: Command = [
            *("-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22"),
            *("-device", "virtio-net-pci,netdev=net,romfile="),
        ]
        # QEMU runs with its own C library, newer than this system's.
        root = ARM / "emulators" / "usr"
        libraries = root / "lib/x86_64-linux-gnu"
        return [
            *(root / "lib64/ld-linux-x86-64.so.2", "--library-path", libraries),
            *(root / "bin/qemu-system-aarch64", "-L", root / "share/qemu"),
            *("-machine", "virt", "-cpu", "cortex-a76", "-smp", "2", "-m", "4G"),
            *("-append", "console=ttyAMA0 quiet loglevel=1 panic=-1", "-no-reboot"),
            *("-display", "none", "-monitor", "none", "-serial", "stdio"),
            *(network if port else ["-nic", "none"]),
            *("-kernel", ARM / "kernel13/vmlinuz", "-initrd", memory_disk),
        ]

    return command


@pytest.fixture(scope="session")
def raspberrypi5(tmp_path_factory: pytest.TempPathFactory) -> Board:
    """The processor of a Raspberry Pi 5 with the newest system, Debian 13."""
    folder = tmp_path_factory.mktemp("raspberrypi5")
    return emulated(folder, "qemu-aarch64", "cortex-a76", "13", "3.13")


@pytest.fixture(scope="session")
def raspberrypi4(tmp_path_factory: pytest.TempPathFactory) -> Board:
    """The processor of a Raspberry Pi 4 with the system before, Debian 12."""
    folder = tmp_path_factory.mktemp("raspberrypi4")
    return emulated(folder, "qemu-aarch64", "cortex-a72", "12")


@pytest.fixture(scope="session", params=("raspberrypi5", "raspberrypi4"))
def board64(request: pytest.FixtureRequest) -> Board:
    """Each 64-bit board."""
    board: Board = request.getfixturevalue(request.param)
    return board


@pytest.fixture(scope="session")
def board32(tmp_path_factory: pytest.TempPathFactory) -> Board:
    """A 32-bit system with Debian's numpy 1.24 and OpenCV 4.6, as on Raspberry Pi OS."""
    folder = tmp_path_factory.mktemp("board32")
    return emulated(folder, "qemu-arm", "cortex-a7", "32")


@pytest.fixture(scope="session")
def integers(lite0_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle's `model.tflite` up to its last integers, without dequantisation and softmax."""
    data = (lite0_bundle / "model.tflite").read_bytes()
    model = tflite.ModelT.InitFromObj(tflite.Model.GetRootAs(data))
    (graph,) = model.subgraphs
    codes = [model.operatorCodes[o.opcodeIndex].builtinCode for o in graph.operators[-2:]]
    assert codes == [tflite.BuiltinOperator.DEQUANTIZE, tflite.BuiltinOperator.SOFTMAX]
    graph.operators = graph.operators[:-2]
    graph.outputs = graph.operators[-1].outputs
    model.signatureDefs = []
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    path = tmp_path_factory.mktemp("integers") / "model.tflite"
    path.write_bytes(builder.Output())
    return path


Answers = dict[str, NDArray[np.generic]]
"""By engine, what it says of each golden picture; see answers.py."""


@pytest.fixture(scope="session")
def answers_of(
    lite0_bundle: Path, integers: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Answers]:
    """Runs answers.py with a Python and these runtimes."""

    def ask(run: Callable[..., subprocess.CompletedProcess[str]], *runtimes: str) -> Answers:
        out = tmp_path_factory.mktemp("answers") / "answers.npz"
        done = run(ANSWERS, lite0_bundle, integers, out, *runtimes)
        assert done.returncode == 0, done.stderr
        with np.load(out) as found:
            return dict(found)

    return ask


@pytest.fixture(scope="session")
def x86_answers(answers_of: Callable[..., Answers]) -> Answers:
    """What the engines say on this machine."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, *arguments], capture_output=True, text=True)

    return answers_of(run, "litert", "onnxruntime")
