"""Keeping other people's greetings off the terminal."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgecnn.errors import DataError


@contextmanager
def quiet_native_stderr() -> Iterator[None]:
    """Drop what C++ libraries print on stderr meanwhile; Python's errors are still raised."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def import_keras_for(what: str) -> None:
    """As `import_keras`, for the network of that name, checkpoint or file.

    It takes seconds: what is neither a network's name nor a path is said before (`UnknownName`),
    and so is a path where nothing is (`DataError`).
    """
    path = Path(what)
    if not path.exists():
        if path.suffix or len(path.parts) > 1:
            raise DataError(
                f"{what} does not exist: give a model file, the folder of a training run, or a "
                "network's name."
            )
        from edgecnn import zoo

        zoo.get(what)
    import_keras()


def import_keras() -> None:
    """Import Keras with its backend, without the backend's start-up messages.

    Where it is not installed, whatever needs it says so.
    """
    with quiet_native_stderr():
        try:
            import keras

            if keras.backend.backend() == "tensorflow":
                import tensorflow as tf

                # Looked for now, so that a machine without a GPU complains into the void.
                tf.config.list_physical_devices()
        except ModuleNotFoundError:
            return


def import_keras_if_needed(what: str) -> None:
    """As `import_keras_for`, unless `what` is a bundle or a model file, which need none."""
    from edgecnn.artifacts import is_artifact
    from edgecnn.bundle import MANIFEST

    if not (Path(what) / MANIFEST).is_file() and not is_artifact(what):
        import_keras_for(what)
