"""What a target is, and which of them this machine is."""

import importlib
from dataclasses import dataclass
from typing import ClassVar

from edgecnn.errors import UnknownName
from edgecnn.targets.machine import Machine, usable_cores
from edgecnn.targets.telemetry import Telemetry, clock_mhz, governor, temperature_c

# In the order they are asked; the two without a board of their own come last.
TARGETS = {
    "raspberrypi": "edgecnn.targets.raspberrypi",
    "jetson": "edgecnn.targets.jetson",
    "x86": "edgecnn.targets.x86",
    "generic": "edgecnn.targets.generic",
}


@dataclass(frozen=True)
class Target:
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
    def recognise(cls, machine: Machine) -> bool:
        """Whether that machine is of this kind."""
        raise NotImplementedError

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
    def ram_bytes(self) -> int | None:
        """Memory the kernel manages."""
        return self.machine.ram_bytes

    @property
    def threads(self) -> int:
        """How many threads an engine gets if the user does not say."""
        return usable_cores(self.machine)

    def telemetry(self) -> Telemetry:
        """Temperature, clock and throttling at this moment."""
        return Telemetry(
            temperature_c=temperature_c(self.machine),
            clock_mhz=clock_mhz(self.machine),
            governor=governor(self.machine),
            throttled=self.throttled(),
            throttle_events=self.throttle_events(),
        )

    def throttled(self) -> tuple[str, ...] | None:
        """Why the processor is held back now; None where the board does not tell."""
        return None

    def throttle_events(self) -> int | None:
        """How often it was held back since boot; None where the board does not count."""
        return None


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
