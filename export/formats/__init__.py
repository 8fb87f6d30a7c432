"""One module per format, and the table that names them.

A new format is a module with the two functions of `Format`, and one line here; the modules import
their libraries, which takes a second each, only when they are asked for.
"""

import importlib
from typing import TYPE_CHECKING, cast

from edgecnn.export.formats.format import ComputedIn, Format

if TYPE_CHECKING:
    from edgecnn.export.formats import onnx, openvino, tflite

    _complete: tuple[Format, ...] = (tflite, onnx, openvino)

__all__ = ["FORMATS", "ComputedIn", "Format", "get"]

FORMATS = {
    "tflite": "edgecnn.export.formats.tflite",
    "onnx": "edgecnn.export.formats.onnx",
    "openvino": "edgecnn.export.formats.openvino",
}


def get(name: str) -> Format:
    """The format of that name."""
    return cast(Format, importlib.import_module(FORMATS[name]))
