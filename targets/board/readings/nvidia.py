"""Which NVIDIA GPU is here, and what it can compute."""

import re
from typing import NamedTuple

from edgecnn.targets.board.machine import Machine


class Gpu(NamedTuple):
    """A GPU by its chip's or its product's name."""

    name: str
    int8: bool
    """Whether TensorRT computes in int8 on it."""


# TensorRT's support matrix: no int8 on compute capability 5.3 and 6.2.
TEGRA = {
    "nvidia,tegra210": Gpu("GM20B (Maxwell)", int8=False),
    "nvidia,tegra186": Gpu("GP10B (Pascal)", int8=False),
    "nvidia,tegra194": Gpu("GV11B (Volta)", int8=True),
    "nvidia,tegra234": Gpu("GA10B (Ampere)", int8=True),
}


def gpu(machine: Machine) -> Gpu | None:
    """A Jetson's, by its chip in the device tree, or the first card the driver lists."""
    for name in machine.compatible:
        if name in TEGRA:
            return TEGRA[name]
    for path in machine.glob("/proc/driver/nvidia/gpus/*/information"):
        if found := re.search(r"^Model:\s*(.+)$", machine.read(path) or "", re.MULTILINE):
            # Compute capability 6.1 and later, cards from 2016 on: ONNX Runtime wants those too.
            return Gpu(found[1].strip(), int8=True)
    return None
