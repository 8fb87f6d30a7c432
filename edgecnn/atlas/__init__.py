"""The atlas: every architecture by one recipe, trained, quantised and measured, a row a network."""

from edgecnn.atlas.rows import Atlas, atlas

__all__ = ["Atlas", "atlas"]
