"""How hot, how fast and how hungry a machine is, from the kernel's own files."""

from typing import Any, NamedTuple

from edgecnn.targets.board.machine import Machine


class Telemetry(NamedTuple):
    """One reading. None is: this machine does not show it; `Target.why_not` says why."""

    temperature_c: float | None = None
    """The hottest thermal zone."""
    clock_mhz: float | None = None
    """The fastest core's clock."""
    governor: str | None = None
    power_mode: str | None = None
    """The board's power mode, where it has several."""
    clocks_pinned: bool | None = None
    """Whether the clocks are held at their highest, on boards where that is usual."""
    throttled: tuple[str, ...] | None = None
    """Why the processor is held back at this moment; empty: it is not."""
    throttled_since_boot: tuple[str, ...] | None = None
    """Why it has been at any time since boot, where the firmware remembers."""
    throttle_events: int | None = None
    """How often it has been held back since boot, where the kernel counts."""
    gpu_load: float | None = None
    """How busy an integrated GPU is, a fraction from 0 to 1."""
    power_w: float | None = None
    """What the whole board takes, or as much of it as its monitors see."""
    power_rails_w: dict[str, float] | None = None
    """The same by rail; a rail may feed another."""

    def held_back_since(self, before: "Telemetry") -> tuple[str, ...]:
        """Why what was measured between that reading and this is slower than the machine is."""
        reasons: tuple[str, ...] = ()
        if self.throttled:
            reasons += (f"throttled: {', '.join(self.throttled)}",)
        events = before.throttle_events, self.throttle_events
        if None not in events and events[0] != events[1]:
            reasons += ("the processor was throttled meanwhile",)
        return reasons

    def to_json(self) -> dict[str, Any]:
        """As it stands in a profile."""
        return self._asdict()


class Throttling(NamedTuple):
    """Why the processor is held back; None where the machine does not tell."""

    now: tuple[str, ...] | None = None
    since_boot: tuple[str, ...] | None = None


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


def heat_limits(machine: Machine) -> Throttling:
    """Whether the kernel has lowered a clock because of heat at this moment."""
    levels = []
    for path in machine.glob("/sys/class/thermal/cooling_device*/type"):
        # The driver's name before Linux 5.8 and since, and what ACPI calls it.
        if (machine.read(path) or "").startswith(("thermal-cpufreq", "cpufreq", "Processor")):
            levels.append(machine.read_int(path.replace("/type", "/cur_state")) or 0)
    return Throttling(("clock capped by heat",) * (max(levels) > 0)) if levels else Throttling()


def event_count(machine: Machine, pattern: str) -> int | None:
    """Sum of the counters that match, or None if there is none."""
    counts = [n for path in machine.glob(pattern) if (n := machine.read_int(path)) is not None]
    return sum(counts) if counts else None
