"""Tables on stdout."""

from rich.console import Console


def stdout(width: int, *, highlight: bool = False) -> Console:
    """The terminal; a pipe or a file gets whole lines, as of one of that width."""
    console = Console(highlight=highlight)
    return console if console.is_terminal else Console(highlight=highlight, width=width)
