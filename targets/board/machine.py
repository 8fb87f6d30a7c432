"""What Linux shows about a machine, read through a root that tests can move.

Every figure the kernel does not show is None: nothing is guessed.
"""

import os
import platform
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

PROGRAM_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Machine:
    """A machine's files and programs under `root`, and its architecture as `uname -m` names it."""

    root: Path = Path("/")
    architecture: str = field(default_factory=platform.machine)
    allowed: frozenset[int] = field(default_factory=lambda: frozenset(os.sched_getaffinity(0)))
    """The logical processors this process may run on."""
    bits: int = 64 if sys.maxsize > 2**32 else 32
    """Of its programs: a Raspberry Pi's 32-bit system may have a 64-bit kernel."""

    def read_bytes(self, path: str) -> bytes | None:
        """A file's content, or None."""
        try:
            return (self.root / path.lstrip("/")).read_bytes()
        except OSError:
            # Absent, or shown to root only: either way this machine does not tell us.
            return None

    def read(self, path: str) -> str | None:
        """A file's text without the zero byte that device-tree strings end in, or None."""
        content = self.read_bytes(path)
        return None if content is None else content.decode(errors="replace").rstrip("\0\n ")

    def read_int(self, path: str) -> int | None:
        """A file's whole number (decimal, or hexadecimal with 0x), or None."""
        text = self.read(path)
        try:
            return int(text, 0) if text else None
        except ValueError:
            return None

    def why_unreadable(self, path: str) -> str | None:
        """`absent`, or the system's own words such as `Permission denied`; None if readable."""
        try:
            (self.root / path.lstrip("/")).read_bytes()
        except FileNotFoundError:
            return "absent"
        except OSError as error:
            return error.strerror or str(error)
        return None

    def said(self, program: str, *arguments: str) -> str | None:
        """What a program of this machine prints; None where it is absent, fails or hangs.

        It is looked for in the folders of $PATH, under the root.
        """
        import shutil
        import subprocess  # both take a while, and most starts ask no program

        folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
        found = shutil.which(
            program, path=os.pathsep.join(str(self.root / f.lstrip("/")) for f in folders)
        )
        if found is None:
            return None
        try:
            done = subprocess.run(
                [found, *arguments],
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=PROGRAM_TIMEOUT_S,
            )
        except (subprocess.TimeoutExpired, OSError):
            # It hangs without its firmware, or is for another processor: it tells us nothing.
            return None
        return done.stdout.strip() if done.returncode == 0 else None

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
        return max(1, len(set(self.core_of.values())))

    @property
    def core_of(self) -> dict[int, tuple[str | None, str]]:
        """The physical core behind each logical processor: its package and its number there."""
        found = {}
        for block in (self.read("/proc/cpuinfo") or "").split("\n\n"):
            number = _field(block, "processor")
            if number is not None and number.isdecimal():
                core = _field(block, "core id") or f"processor {number}"
                found[int(number)] = (_field(block, "physical id"), core)
        return found

    @property
    def cpu_flags(self) -> frozenset[str]:
        """Instruction set extensions as /proc/cpuinfo names them (`flags`, on ARM `Features`)."""
        text = self.read("/proc/cpuinfo") or ""
        return frozenset((_field(text, "flags") or _field(text, "Features") or "").split())

    @property
    def ram_bytes(self) -> int | None:
        """Memory the kernel manages, a little less than the board's chips hold."""
        text = self.read("/proc/meminfo") or ""
        return _kilobytes(text, "MemTotal")

    @property
    def available_bytes(self) -> int | None:
        """Memory a new process can get without swapping, as the kernel reckons."""
        return _kilobytes(self.read("/proc/meminfo") or "", "MemAvailable")

    @property
    def free_swap_bytes(self) -> int | None:
        """Swap that is not in use."""
        return _kilobytes(self.read("/proc/meminfo") or "", "SwapFree")


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


def _field(block: str, name: str) -> str | None:
    found = re.search(rf"^{name}\s*:\s*(.+)$", block, re.MULTILINE)
    return found[1].strip() if found else None


def _kilobytes(meminfo: str, name: str) -> int | None:
    found = re.search(rf"^{name}:\s*(\d+) kB", meminfo, re.MULTILINE)
    return int(found[1]) * 1024 if found else None
