"""What a process occupies, from the kernel's own figures."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path

from edgecnn.errors import EdgeCnnError


@dataclass(frozen=True)
class Memory:
    """One reading, in bytes."""

    resident: int
    """Pages in RAM, those shared with others counted in full."""
    proportional: int | None
    """The same with shared pages divided by their users; None where the kernel hides it."""
    anonymous: int
    """The part that no file backs: heap, stacks, repacked weights."""
    peak: int
    """The most that was ever resident."""

    @classmethod
    def now(cls) -> "Memory":
        """This process's memory at this moment."""
        status = Path("/proc/self/status").read_text()
        try:
            rollup = Path("/proc/self/smaps_rollup").read_text()
        except OSError:  # kernels before 4.14 and some sandboxes have none
            rollup = ""
        proportional = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
        return cls(
            resident=_field(status, "VmRSS"),
            proportional=int(proportional[1]) * 1024 if proportional else None,
            anonymous=_field(status, "RssAnon"),
            peak=_field(status, "VmHWM"),
        )

    def to_json(self) -> dict[str, int | None]:
        """As the profile's worker passes it on."""
        return asdict(self)


def _field(status: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
    if not found:
        raise EdgeCnnError(
            f"/proc/self/status shows no {name}: memory can only be measured on Linux 4.5 or newer."
        )
    return int(found[1]) * 1024
