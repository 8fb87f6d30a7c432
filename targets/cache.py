"""What was measured on this machine and need not be measured again: JSON in the user's cache."""

import json
import os
from pathlib import Path
from typing import Any

from edgecnn.errors import EdgeCnnError


def folder() -> Path:
    """`$XDG_CACHE_HOME/edgecnn`, by default `~/.cache/edgecnn`."""
    root = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(root) / "edgecnn"


def read(name: str) -> Any:
    """What was kept under that name; None where nothing was, or it was cut off."""
    try:
        return json.loads((folder() / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # measured anew, whichever it is


def write(name: str, kept: Any) -> None:
    """Keep it under that name, whole or not at all; raises `EdgeCnnError` where that fails."""
    path = folder() / name
    unfinished = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise EdgeCnnError(
            f"Cannot write {path}: {error.strerror}. Set XDG_CACHE_HOME to a folder that can be "
            "written."
        ) from None
