"""What a target is, and which of them this machine is."""

import importlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from edgecnn.errors import UnknownName
from edgecnn.targets.board.cores import pin, usable_cores
from edgecnn.targets.board.machine import Machine
from edgecnn.targets.board.telemetry import (
    Telemetry,
    Throttling,
    clock_mhz,
    governor,
    heat_limits,
    temperature_c,
)

# In the order they are asked; the two without a board of their own come last.
TARGETS = {
    "raspberrypi": "edgecnn.targets.board.raspberrypi",
    "jetson": "edgecnn.targets.board.jetson",
    "x86": "edgecnn.targets.board.x86",
    "generic": "edgecnn.targets.board.generic",
}

NOT_SHOWN = {
    "temperature_c": "no thermal zone under /sys/class/thermal, as in most virtual machines",
    "clock_mhz": "no cpufreq under /sys/devices/system/cpu, as in most virtual machines",
    "governor": "no cpufreq under /sys/devices/system/cpu, as in most virtual machines",
    "power_mode": "only Jetsons have nvpmodel and jetson_clocks",
    "clocks_pinned": "only Jetsons have nvpmodel and jetson_clocks",
    "throttled": "the kernel has no cooling device that caps the clock",
    "throttled_since_boot": "only the Raspberry Pi's firmware remembers it",
    "throttle_events": "the kernel counts none on this processor",
    "gpu_load": "no integrated GPU that the engines here could use",
    "power_w": "no power monitor that edgecnn knows",
    "power_rails_w": "no power monitor that edgecnn knows",
}


@dataclass(frozen=True)
class Target(ABC):
    """A kind of board, on one machine; a file per kind derives from it and offers `TARGET`."""

    machine: Machine

    name: ClassVar[str]
    runtimes: ClassVar[tuple[str, ...]]
    """Runtimes by preference."""
    cameras: ClassVar[tuple[str, ...]] = ("v4l2",)
    """Kinds of camera by preference."""
    not_built: ClassVar[tuple[str, ...]] = ()
    """What this kind of board could do and edgecnn does not do yet."""

    @classmethod
    @abstractmethod
    def recognise(cls, machine: Machine) -> bool:
        """Whether that machine is of this kind."""

    @property
    def board(self) -> str:
        """The board's name."""
        machine = self.machine
        return machine.device_tree_model or machine.compatible[0] or machine.architecture

    @property
    def cpu(self) -> str:
        """The processor's name."""
        return self.machine.cpu

    @property
    def sums_overflow(self) -> bool:
        """Whether ONNX Runtime and OpenVINO add two 8-bit products in 16 bits here."""
        return False

    @property
    def details(self) -> tuple[str, ...]:
        """What else is worth knowing about the board: revision, release, instruction sets."""
        return ()

    @property
    def ram_bytes(self) -> int | None:
        """Memory the kernel manages."""
        return self.machine.ram_bytes

    @property
    def threads(self) -> int:
        """How many threads an engine gets if the user does not say: one for each big core."""
        return usable_cores(self.machine)

    def pin(self, threads: int) -> frozenset[int] | None:
        """Keep this process on the big cores; see `cores.pin`. Before an engine is opened."""
        return pin(self.machine, threads)

    def telemetry(self) -> Telemetry:
        """Temperature, clock, throttling and power at this moment."""
        rails = self.power_rails_w()
        throttling = self.throttling()
        return Telemetry(
            temperature_c=self.temperature_c(),
            clock_mhz=self.clock_mhz(),
            governor=governor(self.machine),
            power_mode=self.power_mode(),
            clocks_pinned=self.clocks_pinned(),
            throttled=throttling.now,
            throttled_since_boot=throttling.since_boot,
            throttle_events=self.throttle_events(),
            gpu_load=self.gpu_load(),
            power_w=self.power_w(rails),
            power_rails_w=rails or None,
        )

    def why_not(self, reading: str) -> str:
        """Why a part of the telemetry, by its name there, is None on this machine."""
        return NOT_SHOWN[reading]

    def temperature_c(self) -> float | None:
        """The hottest thermal zone."""
        return temperature_c(self.machine)

    def clock_mhz(self) -> float | None:
        """The fastest core's clock."""
        return clock_mhz(self.machine)

    def power_mode(self) -> str | None:
        """The board's power mode, where it has several."""
        return None

    def clocks_pinned(self) -> bool | None:
        """Whether the clocks are held at their highest."""
        return None

    def throttling(self) -> Throttling:
        """Why the processor is held back now, and has been since boot."""
        return heat_limits(self.machine)

    def throttle_events(self) -> int | None:
        """How often it was held back since boot; None where the board does not count."""
        return None

    def gpu_load(self) -> float | None:
        """How busy the GPU is, from 0 to 1; None where it is not shown."""
        return None

    def power_rails_w(self) -> dict[str, float]:
        """Watts by rail; empty where the board has no monitor."""
        return {}

    def power_w(self, rails: dict[str, float]) -> float | None:
        """The rails' total, as far as it is the board's; None without rails."""
        return round(sum(rails.values()), 3) if rails else None


def target(name: str) -> type[Target]:
    """The kind of board of that name; `UnknownName` for any other word."""
    if name not in TARGETS:
        raise UnknownName("target", name, TARGETS)
    kind: type[Target] = importlib.import_module(TARGETS[name]).TARGET
    return kind


def detect(machine: Machine | None = None, name: str = "auto") -> Target:
    """The kind of board a machine is, or the one named in place of `auto`."""
    machine = machine or Machine()
    if name != "auto":
        return target(name)(machine)
    kind = next(kind for word in TARGETS if (kind := target(word)).recognise(machine))
    return kind(machine)
