"""Choosing: which network, input, precision, engine and threads for a board."""

from edgecnn.choosing.choice import Choice, choose
from edgecnn.choosing.finalists import try_out

__all__ = ["Choice", "choose", "try_out"]
