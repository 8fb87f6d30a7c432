"""What becomes of lines that cannot be written."""

import logging

from edgecnn.errors import EdgeCnnError

log = logging.getLogger(__name__)


def leave_out(destination: str, error: OSError, *, live: bool, first: bool) -> None:
    """Of a `live` source, say at the first line that it is left out; else raise `EdgeCnnError`."""
    if not live:
        raise EdgeCnnError(f"Cannot write {destination}: {error.strerror}.") from None
    if first:
        log.warning(
            "edgecnn: %s cannot be written: %s. Lines are left out until it can.",
            destination,
            error.strerror,
        )
