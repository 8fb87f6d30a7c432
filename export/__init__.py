"""Export: a Keras model becomes a bundle of proven artifacts.

The package is callable, as `edgecnn.export(...)`: importing a submodule makes Python bind the
name `edgecnn.export` to this package, whatever stood there before.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from edgecnn.errors import require

if TYPE_CHECKING:
    from edgecnn.bundle import Bundle

NEEDS = {
    "keras": "Keras",
    "tensorflow": "TensorFlow",
    "onnx": "onnx",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "flatbuffers": "flatbuffers",
    "ai_edge_litert": "LiteRT",
}


class _Export(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> "Bundle":
        """See `edgecnn.export.pipeline.export`. Raises `MissingExtra` without the packages."""
        for module, package in NEEDS.items():
            require(module, what="Export", package=package, extra="export")
        from edgecnn.export.pipeline import export

        return export(*arguments, **options)


sys.modules[__name__].__class__ = _Export
