"""PCs and servers with an Intel or AMD processor."""

from edgecnn.targets.machine import Machine
from edgecnn.targets.target import Target
from edgecnn.targets.telemetry import event_count


class X86(Target):
    """An x86-64 machine."""

    name = "x86"
    # int8 ResNet-34 on one thread of a machine with VNNI: 17.2, 19.1 and 18.7 ms.
    runtimes = ("openvino", "litert", "onnxruntime")
    not_built = ("choice of runtime by measurement", "Intel GPU and NPU", "power readings (RAPL)")

    @classmethod
    def recognise(cls, machine: Machine) -> bool:
        """By its architecture."""
        return machine.architecture in ("x86_64", "AMD64")

    @property
    def board(self) -> str:
        """Maker and model as the firmware tells, which virtual machines fill in too."""
        parts = [
            text
            for entry in ("sys_vendor", "product_name")
            if (text := self.machine.read(f"/sys/class/dmi/id/{entry}"))
        ]
        return " ".join(parts) or self.machine.architecture

    def throttle_events(self) -> int | None:
        """Thermal throttling of the cores, which Intel processors count."""
        return event_count(
            self.machine,
            "/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count",
        )


TARGET = X86
