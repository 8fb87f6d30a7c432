"""Raspberry Pi revision codes, in their new style: a number whose bits tell the board.

The layout is published under "Raspberry Pi revision codes" in Raspberry Pi's documentation:
NOQuuuWuFMMMCCCCPPPPTTTTTTTTRRRR. Boards before the Raspberry Pi 2 have a running number instead,
which tells nothing by itself; they cannot run any of the engines.
"""

import re
from typing import NamedTuple, Self

from edgecnn.targets.board.machine import Machine

NEW_STYLE = 1 << 23
MEMORY_BYTES = (2**28, 2**29, 2**30, 2**31, 2**32, 2**33, 2**34)
PROCESSORS = ("BCM2835", "BCM2836", "BCM2837", "BCM2711", "BCM2712")
MODELS = {
    0x00: "A",
    0x01: "B",
    0x02: "A+",
    0x03: "B+",
    0x04: "2B",
    0x06: "CM1",
    0x08: "3B",
    0x09: "Zero",
    0x0A: "CM3",
    0x0C: "Zero W",
    0x0D: "3B+",
    0x0E: "3A+",
    0x10: "CM3+",
    0x11: "4B",
    0x12: "Zero 2 W",
    0x13: "400",
    0x14: "CM4",
    0x15: "CM4S",
    0x17: "5",
    0x18: "CM5",
    0x19: "500",
    0x1A: "CM5 Lite",
    0x1B: "CM0",
}


class Revision(NamedTuple):
    """A board, as its revision code tells. A part the table does not know is None."""

    code: str
    """In hexadecimal, as the kernel shows it."""
    model: str | None
    revision: str
    """Of the circuit board, `1.2`."""
    ram_bytes: int | None
    """What the memory chips hold."""
    processor: str | None

    @classmethod
    def decode(cls, code: int) -> Self | None:
        """From the number; None for an old-style one."""
        if not code & NEW_STYLE:
            return None
        memory, processor = code >> 20 & 0x7, code >> 12 & 0xF
        return cls(
            code=f"{code:x}",
            model=MODELS.get(code >> 4 & 0xFF),
            revision=f"1.{code & 0xF}",
            ram_bytes=MEMORY_BYTES[memory] if memory < len(MEMORY_BYTES) else None,
            processor=PROCESSORS[processor] if processor < len(PROCESSORS) else None,
        )

    @classmethod
    def read(cls, machine: Machine) -> Self | None:
        """From the device tree (a big-endian number) or /proc/cpuinfo; None without either."""
        raw = machine.read_bytes("/proc/device-tree/system/linux,revision")
        if raw is not None and len(raw) == 4:
            return cls.decode(int.from_bytes(raw, "big"))
        text = machine.read("/proc/cpuinfo") or ""
        found = re.search(r"^Revision\s*:\s*([0-9a-f]+)\s*$", text, re.MULTILINE)
        return cls.decode(int(found[1], 16)) if found else None
