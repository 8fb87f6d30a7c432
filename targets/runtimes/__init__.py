"""One file per inference engine, and the table that names them.

A new engine is a new file that offers `RUNTIME`, and one line in `RUNTIMES`. The files import
their engine only when asked to, and this one imports no numpy, so that naming them costs nothing.
"""

import importlib
from typing import TYPE_CHECKING

from edgecnn.errors import RuntimeUnavailable, UnknownName

if TYPE_CHECKING:
    from edgecnn.targets.session import Runtime

RUNTIMES = {
    "litert": "edgecnn.targets.runtimes.litert",
    "onnxruntime": "edgecnn.targets.runtimes.onnxruntime",
    "openvino": "edgecnn.targets.runtimes.openvino",
}


def get(name: str) -> "Runtime":
    """The runtime of that name, installed or not; `UnknownName` for any other word."""
    if name not in RUNTIMES:
        raise UnknownName("runtime", name, RUNTIMES)
    runtime: Runtime = importlib.import_module(RUNTIMES[name]).RUNTIME
    return runtime


def missing(name: str) -> str | None:
    """Why that runtime cannot be used here, or None if it can."""
    try:
        get(name).engine()
    except RuntimeUnavailable as error:
        return str(error)
    return None
