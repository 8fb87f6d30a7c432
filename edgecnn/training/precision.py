"""In which precision the network computes while it trains."""

from collections.abc import Iterator
from contextlib import contextmanager

from edgecnn.training.settings import Precision


@contextmanager
def computing_in(precision: Precision) -> Iterator[None]:
    """Build and train networks in that precision inside the block.

    `mixed` is half precision on a GPU and bfloat16 on a CPU; variables stay float32. `auto` is
    `mixed` on a GPU and float32 without one.
    """
    import keras
    import tensorflow as tf

    gpu = bool(tf.config.list_physical_devices("GPU"))
    mixed = precision == "mixed" or (precision == "auto" and gpu)
    before = keras.mixed_precision.dtype_policy()
    half = "mixed_float16" if gpu else "mixed_bfloat16"
    keras.mixed_precision.set_dtype_policy(half if mixed else "float32")
    try:
        yield
    finally:
        keras.mixed_precision.set_dtype_policy(before)
