"""How hot and how fast a machine is, from the kernel's own files."""

from dataclasses import asdict, dataclass
from typing import Any

from edgecnn.targets.machine import Machine


@dataclass(frozen=True)
class Telemetry:
    """One reading. None is: this machine does not show it."""

    temperature_c: float | None = None
    """The hottest thermal zone."""
    clock_mhz: float | None = None
    """The fastest core's clock."""
    governor: str | None = None
    throttled: tuple[str, ...] | None = None
    """Why the processor is held back at this moment; empty: it is not."""
    throttle_events: int | None = None
    """How often it has been held back since boot, where the kernel counts."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in a profile."""
        return asdict(self)


def temperature_c(machine: Machine) -> float | None:
    """The hottest plausible thermal zone, in degrees Celsius."""
    readings = []
    for zone in machine.glob("/sys/class/thermal/thermal_zone*"):
        milli = machine.read_int(f"{zone}/temp")
        # Jetson's power chip has a zone that always reads 100 °C.
        if milli is not None and not (machine.read(f"{zone}/type") or "").startswith("PMIC"):
            readings.append(milli / 1000)
    # Zones that are switched off show values such as -256 °C.
    plausible = [t for t in readings if -40 < t < 150]
    return max(plausible, default=None)


def clock_mhz(machine: Machine) -> float | None:
    """The fastest core's present clock."""
    clocks = [
        khz / 1000
        for path in machine.glob("/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq")
        if (khz := machine.read_int(path)) is not None
    ]
    return max(clocks, default=None)


def governor(machine: Machine) -> str | None:
    """The clock governor of the first core."""
    return machine.read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def event_count(machine: Machine, pattern: str) -> int | None:
    """Sum of the counters that match, or None if there is none."""
    counts = [n for path in machine.glob(pattern) if (n := machine.read_int(path)) is not None]
    return sum(counts) if counts else None
