"""NVIDIA Jetson: Nano, TX2, Xavier and Orin."""

import re

from edgecnn.targets.board.machine import Machine
from edgecnn.targets.board.readings import ina3221, nvpmodel
from edgecnn.targets.board.readings.modules import module
from edgecnn.targets.board.readings.nvidia import gpu
from edgecnn.targets.board.target import Target
from edgecnn.targets.board.telemetry import event_count

INPUT_RAILS = ("VDD_IN", "POM_5V_IN")
"""What the whole module takes, where that is one rail."""
FED_BY_ANOTHER = ("VDDQ_VDD2_1V8AO",)
"""On AGX Orin this one hangs on VIN_SYS_5V0, which is counted already."""
GPU_LOAD = (
    "/sys/devices/gpu.0/load",
    "/sys/devices/platform/gpu.0/load",
    "/sys/devices/platform/bus@0/*.gpu/load",
)


class Jetson(Target):
    """A Jetson, known by its L4T release or its Tegra chip."""

    name = "jetson"
    runtimes = ("onnxruntime-tensorrt", "onnxruntime-cuda", "onnxruntime", "litert", "openvino")
    cameras = ("gstreamer", "v4l2")
    not_built = ("the deep learning accelerators (DLA) of Xavier and Orin",)

    @classmethod
    def recognise(cls, machine: Machine) -> bool:
        """By L4T's release file, or its Tegra chip, which a container shows too.

        Not by the board's name: one calls itself "NVIDIA Orin Nano Developer Kit", another
        "Jetson AGX Orin".
        """
        has_release = machine.read("/etc/nv_tegra_release") is not None
        return has_release or any("nvidia,tegra" in name for name in machine.compatible)

    @property
    def board(self) -> str:
        """The module's name and its L4T release, as in `... (L4T 35.4.1)`."""
        release = self.l4t_release
        return super().board + (f" (L4T {release})" if release else "")

    @property
    def l4t_release(self) -> str | None:
        """`35.4.1`, or None outside of L4T (a container may not show it)."""
        text = self.machine.read("/etc/nv_tegra_release") or ""
        found = re.search(r"# R(\d+) \(release\), REVISION: ([\d.]+)", text)
        return f"{found[1]}.{found[2]}" if found else None

    @property
    def details(self) -> tuple[str, ...]:
        """The module, and its GPU with what that lacks."""
        found = []
        if name := module(self.machine):
            found.append(f"module: {name}")
        if card := gpu(self.machine):
            lacks = "" if card.int8 else ": no int8, networks run in fp16 on it"
            found.append(f"GPU: {card.name}{lacks}")
        return tuple(found)

    def power_mode(self) -> str | None:
        """The mode nvpmodel has set."""
        return nvpmodel.power_mode(self.machine)

    def clocks_pinned(self) -> bool | None:
        """Whether jetson_clocks holds the cores at their highest clock."""
        return nvpmodel.clocks_pinned(self.machine)

    def throttle_events(self) -> int | None:
        """Over-current and over-temperature events, which Xavier and Orin count."""
        return event_count(self.machine, "/sys/class/hwmon/hwmon*/oc[0-9]*_event_cnt")

    def gpu_load(self) -> float | None:
        """From the GPU's driver, which counts in thousandths."""
        for pattern in GPU_LOAD:
            for path in self.machine.glob(pattern):
                if (load := self.machine.read_int(path)) is not None:
                    return load / 1000
        return None

    def power_rails_w(self) -> dict[str, float]:
        """From the module's INA3221 monitors."""
        return ina3221.rails_w(self.machine)

    def power_w(self, rails: dict[str, float]) -> float | None:
        """The input rail; on boards without one (AGX) the rails that hang on no other together."""
        for name in INPUT_RAILS:
            if name in rails:
                return round(rails[name], 3)
        return super().power_w({n: w for n, w in rails.items() if n not in FED_BY_ANOTHER})

    def why_not(self, reading: str) -> str:
        """As `Target.why_not`."""
        return JETSON_NOT_SHOWN.get(reading) or super().why_not(reading)


JETSON_NOT_SHOWN = {
    "power_mode": "no /var/lib/nvpmodel/status, and nvpmodel -q says nothing (in a container?)",
    "clocks_pinned": "no cpufreq under /sys/devices/system/cpu",
    "throttle_events": "no over-current counters: only Xavier and Orin have them",
    "gpu_load": "no load file of the GPU's driver (in a container?)",
    "power_w": "no INA3221 monitor, or it is hidden (in a container?)",
    "power_rails_w": "no INA3221 monitor, or it is hidden (in a container?)",
}

TARGET = Jetson
