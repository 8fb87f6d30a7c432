"""Which version of a package is installed."""

import re
import sys
from pathlib import Path


def version(distribution: str) -> str:
    """As `importlib.metadata.version`, which takes longer to import than some engines do.

    The name of a package's folder says it too. Raises `ModuleNotFoundError` where there is none.
    """
    name = re.sub(r"[-_.]+", "_", distribution).lower()
    for folder in sys.path:
        for found in Path(folder).glob(f"{name}-*.dist-info"):
            return found.name.removesuffix(".dist-info").partition("-")[2]
    from importlib import metadata

    return metadata.version(distribution)
