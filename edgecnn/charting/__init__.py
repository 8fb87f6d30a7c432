"""Charting the zoo: every architecture by one recipe, trained, quantised and measured."""

from edgecnn.charting.rows import Atlas, atlas

__all__ = ["Atlas", "atlas"]
