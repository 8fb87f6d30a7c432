"""What a finished model file holds: its operators, its weights and the memory its tensors take.

A format is one module with a `describe` function and one line in `READERS`.
"""

import importlib
from pathlib import Path

from edgecnn.artifacts.description import Description
from edgecnn.errors import BundleError, EdgeCnnError, UnknownName

READERS = {
    ".tflite": "edgecnn.artifacts.tflite",
    ".onnx": "edgecnn.artifacts.onnx",
    ".xml": "edgecnn.artifacts.openvino",
}


def is_artifact(path: Path | str) -> bool:
    """Whether that is a file with the name of a model file."""
    return Path(path).suffix in READERS and Path(path).is_file()


def describe(path: Path) -> Description:
    """Read a model file; weights are not loaded.

    Raises `BundleError` for a file that is not what its name says, or holds what cannot be
    described, and `MissingExtra` where the format's package is not installed.
    """
    if path.suffix not in READERS:
        raise UnknownName("format", path.suffix, READERS)
    reader = importlib.import_module(READERS[path.suffix])
    try:
        found: Description = reader.describe(path)
    except OSError as error:
        raise BundleError(f"Cannot read {path}: {error.strerror}.") from None
    except EdgeCnnError:
        raise
    except Exception as error:  # of a damaged file, a reader may find any part missing
        raise BundleError(
            f"{path} cannot be described, it is damaged or not of this kind ({error!r})."
        ) from error
    return found
