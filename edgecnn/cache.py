"""The user's cache folder, and JSON in it: what was found out here and need not be again."""

import json
import os
from pathlib import Path
from typing import Any

from edgecnn import strict_json
from edgecnn.errors import EdgeCnnError


def folder() -> Path:
    """`$EDGECNN_CACHE`, else `edgecnn` in the user's cache folder."""
    own = os.environ.get("EDGECNN_CACHE")
    general = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(own) if own else Path(general) / "edgecnn"


def read(name: str) -> Any:
    """What was kept under that name; None where nothing was, or it is not as it was written."""
    try:
        return strict_json.read(folder() / name)
    except (OSError, ValueError):
        return None  # measured anew, whichever it is


def write(name: str, kept: Any) -> None:
    """Keep it under that name, whole or not at all; raises `EdgeCnnError` where that fails."""
    path = folder() / name
    unfinished = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_up(path)
        unfinished.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise EdgeCnnError(
            f"Cannot write {path}: {error.strerror}. Set EDGECNN_CACHE to a folder that can be "
            "written."
        ) from None


def _clear_up(path: Path) -> None:
    """Remove what programs left unfinished that were killed while they wrote it."""
    import psutil  # takes a while, and most starts keep nothing

    for left in path.parent.glob(f"{path.stem}.*"):
        number = left.suffix[1:]
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            left.unlink(missing_ok=True)
