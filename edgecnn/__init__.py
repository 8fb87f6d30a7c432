"""edgecnn: classic CNNs from Keras to int8 on the board, proven on the way.

Names are loaded when first used, so that a board needs no TensorFlow.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "analyze": "edgecnn.analysis",
    "build": "edgecnn.zoo",
    "calibrate": "edgecnn.calibration",
    "compare": "edgecnn.comparison",
    "classify": "edgecnn.targets.live.loop",
    "deploy": "edgecnn.targets.deploy.deployment",
    "evaluate": "edgecnn.export.evaluate",
    "load": "edgecnn.targets.classifier",
    "profile": "edgecnn.targets.profiling.profiler",
    "train": "edgecnn.training",
    "Bundle": "edgecnn.bundle",
    "EdgeCnnError": "edgecnn.errors",
    "Prediction": "edgecnn.targets.prediction",
    "Preprocessing": "edgecnn.preprocessing",
}
__all__ = [*_HOME, "export", "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name == "export":
        return importlib.import_module("edgecnn.export")  # callable, see there
    if name not in _HOME:
        raise AttributeError(f"module 'edgecnn' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
