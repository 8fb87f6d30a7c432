"""Raspberry Pi: Zero 2 W, 3, 4 and 5."""

import re
import shutil
import subprocess
from pathlib import Path

from edgecnn.targets.machine import Machine
from edgecnn.targets.target import Target

# Bits of the firmware's throttling word; those from 16 on are "has happened since boot".
NOW = {
    0: "under-voltage",
    1: "clock capped",
    2: "throttled",
    3: "soft temperature limit",
}


class RaspberryPi(Target):
    """A Raspberry Pi, known by its device tree."""

    name = "raspberrypi"
    # XNNPACK's ARM kernels make LiteRT the fast one; OpenVINO's ARM plugin has little int8.
    runtimes = ("litert", "onnxruntime", "openvino")
    cameras = ("picamera2", "v4l2")
    not_built = ("core affinity", "choice of runtime by measurement")

    @classmethod
    def recognise(cls, machine: Machine) -> bool:
        """By the model in the device tree."""
        return (machine.device_tree_model or "").startswith("Raspberry Pi")

    def throttled(self) -> tuple[str, ...] | None:
        """From the firmware's throttling word, or else the voltage alarm alone."""
        word = self._throttling_word()
        if word is None:
            alarm = self._undervoltage_alarm()
            return None if alarm is None else ("under-voltage",) * alarm
        return tuple(meaning for bit, meaning in NOW.items() if word >> bit & 1)

    def _throttling_word(self) -> int | None:
        """What `vcgencmd get_throttled` tells; older kernels show it in a file too.

        The program first: newer kernels still have the file, deprecated, and log a warning with
        a stack trace when it is read.
        """
        if self.machine.root == Path("/") and (program := shutil.which("vcgencmd")):
            said = subprocess.run([program, "get_throttled"], capture_output=True, text=True)
            if found := re.fullmatch(r"throttled=0x([0-9a-f]+)", said.stdout.strip()):
                return int(found[1], 16)
        text = self.machine.read("/sys/devices/platform/soc/soc:firmware/get_throttled")
        return int(text, 16) if text else None

    def _undervoltage_alarm(self) -> int | None:
        for sensor in self.machine.glob("/sys/class/hwmon/hwmon*/name"):
            if self.machine.read(sensor) == "rpi_volt":
                return self.machine.read_int(sensor.replace("/name", "/in0_lcrit_alarm"))
        return None


TARGET = RaspberryPi
