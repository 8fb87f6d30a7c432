"""What Linux shows about a machine, read through a root that tests can move.

Every figure the kernel does not show is None: nothing is guessed.
"""

import os
import platform
import re
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """A machine's files under `root`, and its architecture as `uname -m` names it."""

    root: Path = Path("/")
    architecture: str = field(default_factory=platform.machine)

    def read(self, path: str) -> str | None:
        """A file's text without the zero byte that device-tree strings end in, or None."""
        try:
            text = (self.root / path.lstrip("/")).read_text(encoding="utf-8", errors="replace")
        except OSError:
            # Absent, or shown to root only: either way this machine does not tell us.
            return None
        return text.rstrip("\0\n ")

    def read_int(self, path: str) -> int | None:
        """A file's whole number (decimal, or hexadecimal with 0x), or None."""
        text = self.read(path)
        try:
            return int(text, 0) if text else None
        except ValueError:
            return None

    def glob(self, pattern: str) -> list[str]:
        """Paths that match, from the root, sorted."""
        found = self.root.glob(pattern.lstrip("/"))
        return sorted(f"/{path.relative_to(self.root)}" for path in found)

    @property
    def device_tree_model(self) -> str | None:
        """The board's name in its device tree; ARM boards have one."""
        return self.read("/proc/device-tree/model")

    @property
    def compatible(self) -> list[str]:
        """What its device tree says it is compatible with: the board first, then its chip."""
        return (self.read("/proc/device-tree/compatible") or "").split("\0")

    @property
    def cpu(self) -> str:
        """The processor's name, else its architecture."""
        text = self.read("/proc/cpuinfo") or ""
        # 32-bit ARM kernels show a model name that only tells the architecture: parts first.
        parts = dict.fromkeys(re.findall(r"^CPU part\s*:\s*(\S+)", text, re.MULTILINE))
        if cores := [ARM_CORES[part.lower()] for part in parts if part.lower() in ARM_CORES]:
            return " + ".join(cores)
        name = _field(text, "model name")
        return name or self.architecture

    @property
    def cores(self) -> int:
        """Physical cores in /proc/cpuinfo (an SMT pair counts once), at least 1."""
        text = self.read("/proc/cpuinfo") or ""
        pairs = set()
        for block in text.split("\n\n"):
            number = _field(block, "processor")
            core = _field(block, "core id")
            if number is not None:
                pairs.add((_field(block, "physical id"), core or f"processor {number}"))
        return max(1, len(pairs))

    @property
    def ram_bytes(self) -> int | None:
        """Memory the kernel manages, a little less than the board's chips hold."""
        text = self.read("/proc/meminfo") or ""
        total = re.search(r"^MemTotal:\s*(\d+) kB", text, re.MULTILINE)
        return int(total[1]) * 1024 if total else None


ARM_CORES = {
    "0xb76": "ARM1176",
    "0xc07": "Cortex-A7",
    "0xd03": "Cortex-A53",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd42": "Cortex-A78AE",
    "0x003": "Denver 2",
    "0x004": "Carmel",
}


def usable_cores(machine: Machine) -> int:
    """Physical cores, or fewer where this process may use fewer."""
    return min(machine.cores, len(os.sched_getaffinity(0)))


def _field(block: str, name: str) -> str | None:
    found = re.search(rf"^{name}\s*:\s*(.+)$", block, re.MULTILINE)
    return found[1].strip() if found else None
