"""Telling an emulated processor; `tests/arm` asks the same of real emulators."""

from pathlib import Path

import pytest

from edgecnn.targets.board.emulation import emulation
from edgecnn.targets.board.machine import Machine


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    for name in ("self", "thread-self", "device-tree"):
        (tmp_path / "proc" / name).mkdir(parents=True)
    return tmp_path / "proc"


def test_this_machine_is_none() -> None:
    assert emulation(Machine()) is None


def test_a_program_that_the_kernel_knows_by_another_name_is_translated(proc: Path) -> None:
    (proc / "self" / "exe").symlink_to("/usr/bin/python3.11")
    (proc / "thread-self" / "exe").symlink_to("/usr/bin/qemu-aarch64")
    assert (emulation(Machine(proc.parent)) or "").startswith("emulated by qemu-aarch64:")


def test_a_virtual_machine_is_no_board(proc: Path) -> None:
    (proc / "device-tree" / "compatible").write_text("linux,dummy-virt\0")
    assert (emulation(Machine(proc.parent)) or "").startswith("a virtual machine")


def test_a_kernel_without_these_files_tells_nothing(proc: Path) -> None:
    assert emulation(Machine(proc.parent)) is None
