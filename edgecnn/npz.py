"""Arrays in a bundle's `.npz` files, which may come from anywhere."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.errors import BundleError

LARGEST = 256 << 20
"""Bytes, unpacked: golden pictures and figures over held-out ones take a few megabytes."""


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays by name; none is unpickled, and nothing is unpacked that says it is too large.

    Raises `BundleError` for anything but a whole archive of arrays.
    """
    try:
        # Opened here, since numpy leaves a damaged archive open.
        with path.open("rb") as stream:
            with zipfile.ZipFile(stream) as archive:
                unpacked = sum(member.file_size for member in archive.infolist())
            if unpacked > LARGEST:
                raise ValueError(f"it unpacks to {unpacked / 1e6:.0f} MB")
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as found:
                return {name: found[name] for name in found.files}
    except Exception as error:  # a damaged archive or array makes numpy raise anything
        raise BundleError(f"{path} cannot be read: {error}. Export again.") from error
