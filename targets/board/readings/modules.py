"""Which Jetson module is on the carrier: NVIDIA's part numbers in the device tree."""

import re

from edgecnn.targets.board.machine import Machine

MODULES = {
    "p2180-1000": "TX1",
    "p3310-1000": "TX2",
    "p3448-0000": "Nano, developer kit",
    "p3448-0002": "Nano, 4 GB",
    "p3448-0003": "Nano, 2 GB developer kit",
    "p2888-0001": "AGX Xavier, 16 GB",
    "p2888-0003": "AGX Xavier, 32 GB",
    "p2888-0004": "AGX Xavier, 32 GB",
    "p2888-0005": "AGX Xavier, 64 GB",
    "p2888-0008": "AGX Xavier Industrial",
    "p3668-0000": "Xavier NX, developer kit",
    "p3668-0001": "Xavier NX, 8 GB",
    "p3668-0003": "Xavier NX, 16 GB",
    "p3701-0000": "AGX Orin, developer kit",
    "p3701-0004": "AGX Orin, 32 GB",
    "p3701-0005": "AGX Orin, 64 GB",
    "p3767-0000": "Orin NX, 16 GB",
    "p3767-0001": "Orin NX, 8 GB",
    "p3767-0003": "Orin Nano, 8 GB",
    "p3767-0004": "Orin Nano, 4 GB",
    "p3767-0005": "Orin Nano, developer kit",
}


def module(machine: Machine) -> str | None:
    """`Orin NX, 16 GB (p3767-0000)`; None for a part number that is not known here."""
    for part in re.findall(r"p\d{4}-\d{4}", " ".join(machine.compatible)):
        if part in MODULES:
            return f"{MODULES[part]} ({part})"
    return None
