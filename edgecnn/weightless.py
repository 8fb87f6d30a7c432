"""Networks to look at, whose weights take no memory."""

from collections.abc import Iterator
from contextlib import contextmanager

from edgecnn.errors import require


@contextmanager
def weightless() -> Iterator[None]:
    """Keras networks that are built inside get shapes and no values, which can be gigabytes.

    Keras would fill them in later: the next layer that is put into any network has all variables
    initialised that wait for it, these too. So they are taken off that list, for which Keras 3 has
    no public name.
    """
    keras = require("keras", what="Building a network", package="Keras", extra="export")
    from keras.src.backend.common import global_state

    def waiting() -> list[object]:
        found: list[object] = global_state.get_global_attribute(
            "uninitialized_variables", [], set_to_default=True
        )
        return found

    before = len(waiting())
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        del waiting()[before:]
