"""The cores an engine gets: the big ones first.

Engines split an operator evenly over their threads, so that the slowest core sets the pace: on a
board of big and little cores, the big ones alone are the faster choice.
"""

import os
import re

from edgecnn.targets.board.machine import Machine

BIG = 0.8
"""A core with at least this share of the fastest one's speed is big.

Processors that favour one of their like cores clock it a few percent higher; little cores reach a
quarter to three quarters.
"""

CPU = "/sys/devices/system/cpu"


def speeds(machine: Machine) -> dict[int, int]:
    """How fast each logical processor is, in a unit of the machine's own; empty if not shown.

    The kernel's `cpu_capacity` knows clock and design, but only ARM boards have it; the highest
    clock stands in for it.
    """
    for file in ("cpu_capacity", "cpufreq/cpuinfo_max_freq"):
        found = {}
        for path in machine.glob(f"{CPU}/cpu[0-9]*/{file}"):
            number = re.search(r"/cpu(\d+)/", path)
            if number and (speed := machine.read_int(path)):
                found[int(number[1])] = speed
        if found:
            return found
    return {}


def big_cores(machine: Machine) -> frozenset[int]:
    """The big ones of the logical processors this process may use; all of them on most machines."""
    known = {cpu: speed for cpu, speed in speeds(machine).items() if cpu in machine.allowed}
    if not known:
        return machine.allowed
    fastest = max(known.values())
    return frozenset(cpu for cpu in machine.allowed if known.get(cpu, fastest) >= BIG * fastest)


def usable_cores(machine: Machine) -> int:
    """Physical cores among the big ones this process may use, at least 1."""
    core_of = machine.core_of
    return len({core_of.get(cpu, (None, f"processor {cpu}")) for cpu in big_cores(machine)})


def pin(machine: Machine, threads: int) -> frozenset[int] | None:
    """Keep this process, with the threads it will start, on the big cores.

    Only where there are little ones too, and only if `threads` fit. Returns the processors it is
    on now, or None where nothing was changed.
    """
    big = big_cores(machine)
    if big == machine.allowed or threads > usable_cores(machine):
        return None
    os.sched_setaffinity(0, big)
    return big
