"""One file per inference engine, and the tables that name them.

A new engine is a new file that offers a runtime, and one line in `RUNTIMES`. The files import
their engine only when asked to, and this one imports no numpy, so that naming them costs nothing.
"""

import pkgutil
from typing import TYPE_CHECKING

from edgecnn.errors import RuntimeUnavailable, UnknownName

if TYPE_CHECKING:
    from edgecnn.targets.engines.session import Runtime

RUNTIMES = {
    "litert": "edgecnn.targets.engines.runtimes.litert:RUNTIME",
    "onnxruntime": "edgecnn.targets.engines.runtimes.onnxruntime:RUNTIME",
    "openvino": "edgecnn.targets.engines.runtimes.openvino:RUNTIME",
}
"""On the processor's own cores: what every artifact is checked with."""

ACCELERATED = {
    "onnxruntime-tensorrt": "edgecnn.targets.engines.runtimes.nvidia:TENSORRT",
    "onnxruntime-cuda": "edgecnn.targets.engines.runtimes.nvidia:CUDA",
    "openvino-gpu": "edgecnn.targets.engines.runtimes.openvino:GPU",
    "openvino-npu": "edgecnn.targets.engines.runtimes.openvino:NPU",
}
"""The same engines on another device, where there is one."""

ALIASES = {"tflite": "litert", "onnx": "onnxruntime"}
"""Formats, by which people call the engine that runs them."""


def canonical(name: str, *others: str) -> str:
    """The runtime's own name where a format was named; `UnknownName` for any other word.

    `others` are words that stand for no one runtime, such as `auto`.
    """
    name = ALIASES.get(name, name)
    known = (*others, *RUNTIMES, *ACCELERATED)
    if name not in known:
        raise UnknownName("runtime", str(name), known)
    return name


def get(name: str) -> "Runtime":
    """The runtime of that name, installed or not; `UnknownName` for any other word."""
    runtime: Runtime = pkgutil.resolve_name((RUNTIMES | ACCELERATED)[canonical(name)])
    return runtime


def missing(name: str) -> str | None:
    """Why that runtime cannot be used here, or None if it can."""
    try:
        get(name).engine()
    except RuntimeUnavailable as error:
        return str(error)
    return None
