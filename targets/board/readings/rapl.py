"""Power of Intel and AMD processors, from their energy counters (RAPL).

Linux shows them under /sys/class/powercap in microjoules that only count up, so that power is
what passed between two readings.
"""

import time
from typing import NamedTuple

from edgecnn.targets.board.machine import Machine

FOLDER = "/sys/class/powercap"
SHORTEST_S = 0.05
"""The counters move every millisecond or so: closer readings would be mostly noise."""


class Reading(NamedTuple):
    """The counters at one moment."""

    at: float
    """On `time.perf_counter`."""
    energy_uj: dict[str, int]
    """By domain: `package-0`, `package-0/core`, `psys`."""


class EnergyMeter:
    """Mean power since it was last asked."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._last: Reading | None = None

    def rails_w(self) -> dict[str, float]:
        """Watts by domain; empty where the counters cannot be read.

        The first time it watches for a moment (50 ms).
        """
        last = self._last
        if last is None or time.perf_counter() - last.at < SHORTEST_S:
            last = self._now()
            if not last.energy_uj:
                return {}
            time.sleep(SHORTEST_S)
        self._last = self._now()
        return watts(last, self._last, _ranges(self.machine))

    def _now(self) -> Reading:
        at = time.perf_counter()
        energies = {
            name: energy
            for name, folder in _domains(self.machine).items()
            if (energy := self.machine.read_int(f"{folder}/energy_uj")) is not None
        }
        return Reading(at, energies)


def watts(before: Reading, after: Reading, ranges_uj: dict[str, int]) -> dict[str, float]:
    """Mean power between two readings; a counter that began anew is taken to have done so once."""
    seconds = after.at - before.at
    rails = {}
    for name, energy in after.energy_uj.items():
        if name not in before.energy_uj:
            continue
        used = energy - before.energy_uj[name]
        if used < 0:
            used += ranges_uj.get(name, 0)
        if used >= 0:
            rails[name] = round(used / 1e6 / seconds, 3)
    return rails


def total_w(rails: dict[str, float]) -> float | None:
    """The processors' packages together; memory and the rest of the machine are not in it."""
    packages = [power for name, power in rails.items() if _is_package(name)]
    return round(sum(packages), 3) if packages else None


def why_not(machine: Machine) -> str | None:
    """Why power cannot be read here, or None."""
    domains = _domains(machine)
    if not domains:
        return (
            f"no energy counters under {FOLDER}: virtual machines and containers hide them, and "
            "bare machines need the module intel_rapl_msr"
        )
    refused = machine.why_unreadable(f"{next(iter(domains.values()))}/energy_uj")
    if refused is None:
        return None
    return (
        f"{FOLDER}/*/energy_uj: {refused}; since CVE-2020-8694 only root may read it: "
        f"sudo chmod a+r {FOLDER}/*/energy_uj until the next boot"
    )


def _is_package(name: str) -> bool:
    return name.startswith("package-") and "/" not in name


def _domains(machine: Machine) -> dict[str, str]:
    """Folders by domain; one inside a package is `package-0/core`."""
    folders = {
        path.removesuffix("/name"): machine.read(path) or ""
        for path in machine.glob(f"{FOLDER}/intel-rapl:*/name")
    }
    names = {}
    for folder, name in folders.items():
        parent = folders.get(folder.rpartition(":")[0])
        names[f"{parent}/{name}" if parent else name] = folder
    return names


def _ranges(machine: Machine) -> dict[str, int]:
    return {
        name: limit
        for name, folder in _domains(machine).items()
        if (limit := machine.read_int(f"{folder}/max_energy_range_uj")) is not None
    }
