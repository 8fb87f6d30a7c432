"""NVIDIA Jetson: Nano, TX2, Xavier and Orin."""

import re

from edgecnn.targets.machine import Machine
from edgecnn.targets.target import Target
from edgecnn.targets.telemetry import event_count


class Jetson(Target):
    """A Jetson, known by its L4T release or its Tegra chip."""

    name = "jetson"
    runtimes = ("onnxruntime", "litert", "openvino")
    cameras = ("gstreamer", "v4l2")
    not_built = (
        "TensorRT and CUDA: engines run on the CPU",
        "nvpmodel power modes and power rails",
        "core affinity",
    )

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

    def throttle_events(self) -> int | None:
        """Over-current and over-temperature events, which Xavier and Orin count."""
        return event_count(self.machine, "/sys/class/hwmon/hwmon*/oc[0-9]*_event_cnt")


TARGET = Jetson
