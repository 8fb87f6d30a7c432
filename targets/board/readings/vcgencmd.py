"""What a Raspberry Pi's firmware says, through its program `vcgencmd`."""

import re

from edgecnn.targets.board.machine import Machine
from edgecnn.targets.board.telemetry import Throttling

REASONS = ("under-voltage", "clock capped", "throttled", "soft temperature limit")
"""Bits 0 to 3 of the firmware's word: true at this moment. The same from bit 16 on: since boot."""

NUMBER = r"\d+(?:\.\d+)?"
THROTTLED_FILE = "/sys/devices/platform/soc/soc:firmware/get_throttled"


def throttling(machine: Machine) -> Throttling | None:
    """From `vcgencmd get_throttled`, or the file that older kernels have.

    The program first: newer kernels still have the file, deprecated, and log a warning with a
    stack trace when it is read.
    """
    said = machine.said("vcgencmd", "get_throttled") or ""
    found = re.fullmatch(r"throttled=0x([0-9a-f]+)", said)
    text = found[1] if found else machine.read(THROTTLED_FILE)
    if not text or not re.fullmatch("(0x)?[0-9a-fA-F]+", text):
        return None
    word = int(text, 16)
    return Throttling(_reasons(word), _reasons(word >> 16))


def _reasons(bits: int) -> tuple[str, ...]:
    return tuple(reason for bit, reason in enumerate(REASONS) if bits >> bit & 1)


def temperature_c(machine: Machine) -> float | None:
    """The chip's temperature, as in `temp=52.1'C`."""
    said = machine.said("vcgencmd", "measure_temp") or ""
    found = re.fullmatch(rf"temp=({NUMBER})'C", said)
    return float(found[1]) if found else None


def clock_mhz(machine: Machine) -> float | None:
    """The cores' clock, as in `frequency(48)=1800457088`, which is in Hz."""
    said = machine.said("vcgencmd", "measure_clock", "arm") or ""
    found = re.fullmatch(r"frequency\(\d+\)=(\d+)", said)
    return int(found[1]) / 1e6 if found else None


def rails_w(machine: Machine) -> dict[str, float]:
    """Power on each rail of the Raspberry Pi 5's power chip; empty on other boards.

    `vcgencmd pmic_read_adc` gives volts and amperes in lines of their own, `VDD_CORE_V
    volt(15)=0.89745940V` and `VDD_CORE_A current(7)=1.87674000A`, paired by name.
    """
    said = machine.said("vcgencmd", "pmic_read_adc") or ""
    readings = {
        (name, unit): float(value)
        for name, unit, value in re.findall(rf"(\S+)_([AV]) \w+\(\d+\)=({NUMBER})[AV]", said)
    }
    return {
        name: round(amperes * readings[name, "V"], 4)
        for (name, unit), amperes in readings.items()
        if unit == "A" and (name, "V") in readings
    }
