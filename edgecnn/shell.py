"""Commands that are shown to be copied."""

import shlex
from pathlib import Path


def typed(*words: str | Path) -> str:
    """A command as a shell takes it, whatever its words are called."""
    return shlex.join(map(str, words))
