"""Raspberry Pi: Zero 2 W, 3, 4 and 5, with 64-bit and 32-bit systems."""

from edgecnn.targets.board.machine import Machine
from edgecnn.targets.board.readings import vcgencmd
from edgecnn.targets.board.readings.revision import Revision
from edgecnn.targets.board.target import Target
from edgecnn.targets.board.telemetry import Throttling

NO_FIRMWARE = (
    "neither the program vcgencmd (sudo apt install raspi-utils) nor a sensor of the kernel tells"
)


class RaspberryPi(Target):
    """A Raspberry Pi, known by its device tree."""

    name = "raspberrypi"
    # XNNPACK's ARM kernels make LiteRT the fast one; OpenVINO's ARM plugin has little int8.
    runtimes = ("litert", "onnxruntime", "openvino")
    cameras = ("picamera2", "v4l2")

    @classmethod
    def recognise(cls, machine: Machine) -> bool:
        """By the model in the device tree."""
        return (machine.device_tree_model or "").startswith("Raspberry Pi")

    @property
    def details(self) -> tuple[str, ...]:
        """What the revision code tells, and whether the system is a 32-bit one."""
        found = []
        if revision := Revision.read(self.machine):
            ram = f"{revision.ram_bytes / 2**30:g} GB" if revision.ram_bytes else None
            parts = (revision.model, f"revision {revision.revision}", revision.processor, ram)
            found.append(f"{', '.join(filter(None, parts))} (code {revision.code})")
        if self.machine.bits == 32:
            found.append(
                "32-bit system: tflite-runtime is the only engine for it; a 64-bit system on the "
                "same board runs LiteRT several times faster"
            )
        return tuple(found)

    def temperature_c(self) -> float | None:
        """The hottest thermal zone, else what the firmware says."""
        shown = super().temperature_c()
        return vcgencmd.temperature_c(self.machine) if shown is None else shown

    def clock_mhz(self) -> float | None:
        """The fastest core's clock, else what the firmware says."""
        shown = super().clock_mhz()
        return vcgencmd.clock_mhz(self.machine) if shown is None else shown

    def throttling(self) -> Throttling:
        """From the firmware, or else the kernel's voltage alarm and heat limits, without a past."""
        if told := vcgencmd.throttling(self.machine):
            return told
        heat, alarm = super().throttling(), self._undervoltage_alarm()
        if alarm is None:
            return heat
        return Throttling(("under-voltage",) * bool(alarm) + (heat.now or ()))

    def power_rails_w(self) -> dict[str, float]:
        """The rails of the Raspberry Pi 5's power chip.

        Their sum, which is `power_w`, lacks what the 5 V input feeds directly: USB devices, the
        fan and the converters' losses.
        """
        return vcgencmd.rails_w(self.machine)

    def why_not(self, reading: str) -> str:
        """As `Target.why_not`."""
        if reading.startswith("power_") and reading != "power_mode":
            return "only the Raspberry Pi 5 measures it, and vcgencmd pmic_read_adc shows nothing"
        return NO_FIRMWARE if reading.startswith("throttled") else super().why_not(reading)

    def _undervoltage_alarm(self) -> int | None:
        for sensor in self.machine.glob("/sys/class/hwmon/hwmon*/name"):
            if self.machine.read(sensor) == "rpi_volt":
                return self.machine.read_int(sensor.replace("/name", "/in0_lcrit_alarm"))
        return None


TARGET = RaspberryPi
