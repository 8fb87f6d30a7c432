"""What a start does not have to wait for."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def starting() -> Iterator[None]:
    """For what is imported and loaded meanwhile, which stays: no garbage is looked for among it.

    numpy gets no threads: they would turn for a while on cores that an engine is to have, and what
    a board multiplies needs none. Nothing that is set is changed.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collected:
            gc.enable()
