"""A Jetson's power mode, and whether its clocks are pinned."""

import re

from edgecnn.targets.board.machine import Machine


def power_mode(machine: Machine) -> str | None:
    """The name of the mode, `MAXN` or `15W`; its number where the table lacks it.

    From nvpmodel's own files, which need no rights and no process, else from `nvpmodel -q`.
    """
    status = machine.read("/var/lib/nvpmodel/status") or ""
    if found := re.search(r"pmode:(\d+)", status):
        number = str(int(found[1]))
        table = machine.read("/etc/nvpmodel.conf") or ""
        named = re.search(rf"^<\s*POWER_MODEL\s+ID={number}\s+NAME=(\S+)", table, re.MULTILINE)
        return named[1] if named else number
    said = re.search(r"^NV Power Mode:\s*(\S+)", machine.said("nvpmodel", "-q") or "", re.MULTILINE)
    return said[1] if said else None


def clocks_pinned(machine: Machine) -> bool | None:
    """Whether `jetson_clocks` holds the cores at their highest clock; None if not shown.

    It sets the lowest clock the governor may choose to the highest.
    """
    pinned = []
    for path in machine.glob("/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_min_freq"):
        lowest = machine.read_int(path)
        highest = machine.read_int(path.replace("scaling_min_freq", "scaling_max_freq"))
        if lowest is not None and highest is not None:
            pinned.append(lowest == highest)
    return all(pinned) if pinned else None
