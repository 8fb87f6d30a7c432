"""PCs and servers with an Intel or AMD processor."""

from functools import cached_property

from edgecnn.targets.board.machine import Machine
from edgecnn.targets.board.readings import rapl
from edgecnn.targets.board.target import Target
from edgecnn.targets.board.telemetry import event_count

INT8_UNITS = {
    "amx_int8": "AMX",
    "avx512_vnni": "AVX512-VNNI",
    "avx_vnni": "AVX-VNNI",
}
"""By the name the kernel gives the flag: what multiplies int8 without overflow."""
VECTORS = {"avx512f": "AVX512", "avx2": "AVX2"}


class X86(Target):
    """An x86-64 machine."""

    name = "x86"
    # int8 ResNet-34 on one thread of a machine with VNNI: 17.2, 19.1 and 18.7 ms.
    runtimes = ("openvino", "litert", "onnxruntime")

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

    @property
    def sums_overflow(self) -> bool:
        """As `Target.sums_overflow`: where the processor has no int8 units."""
        flags = self.machine.cpu_flags
        return bool(flags) and not any(flag in flags for flag in INT8_UNITS)

    @property
    def details(self) -> tuple[str, ...]:
        """The widest vectors and the int8 units of the processor."""
        flags = self.machine.cpu_flags
        vectors = next((name for flag, name in VECTORS.items() if flag in flags), None)
        units = [name for flag, name in INT8_UNITS.items() if flag in flags]
        if not flags:
            return ()
        if units:
            return (f"int8 units: {', '.join(units)}; vectors: {vectors}",)
        return (
            f"no int8 units (VNNI, AMX); vectors: {vectors or 'narrower than AVX2'}. int8 gains "
            "less here, and sums of products may overflow: export with --weight-bits 7",
        )

    def throttle_events(self) -> int | None:
        """Thermal throttling of the cores, which Intel processors count."""
        return event_count(
            self.machine,
            "/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count",
        )

    def power_rails_w(self) -> dict[str, float]:
        """The processor's own energy counters, as the mean since they were read before."""
        return self._meter.rails_w()

    @cached_property
    def _meter(self) -> rapl.EnergyMeter:
        return rapl.EnergyMeter(self.machine)

    def power_w(self, rails: dict[str, float]) -> float | None:
        """What the processors take; not the board."""
        return rapl.total_w(rails)

    def why_not(self, reading: str) -> str:
        """As `Target.why_not`."""
        if reading in ("power_w", "power_rails_w"):
            return rapl.why_not(self.machine) or super().why_not(reading)
        return super().why_not(reading)


TARGET = X86
