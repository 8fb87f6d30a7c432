"""Whether this is a processor at all: an emulated one computes the same, at a speed of its own."""

from pathlib import Path

from edgecnn.targets.board.machine import Machine

VIRTUAL_BOARD = "linux,dummy-virt"
"""What the device tree of a virtual ARM machine says instead of a board's name."""


def emulation(machine: Machine) -> str | None:
    """What emulates this processor, as a reason not to trust a time; None where nothing does.

    A program that QEMU translates is told by QEMU that /proc/self/exe is that program, while
    the kernel knows it as QEMU: /proc/thread-self/exe is the same file by another name, which
    QEMU passes through. A virtual machine may run on an ARM processor of its own, but no board
    is one.
    """
    own, kernels = (_link(machine.root / f"proc/{name}/exe") for name in ("self", "thread-self"))
    if own != kernels and kernels is not None:
        return f"emulated by {kernels.name}: times say nothing about a board"
    if VIRTUAL_BOARD in machine.compatible:
        return f"a virtual machine ({VIRTUAL_BOARD}): times say nothing about a board"
    return None


def _link(path: Path) -> Path | None:
    try:
        return path.readlink()
    except OSError:
        return None  # no /proc here, or not for us to see
