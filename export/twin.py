"""The float32 twin of a network that was trained in mixed precision."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


@contextmanager
def in_float32(model: "keras.Model") -> Iterator[None]:
    """Let every layer compute in float32 while the context is open.

    Mixed precision is for training's speed: the variables are float32, and what boards run is
    rounded from them, not from what half precision made of them.
    """
    import keras

    single = keras.DTypePolicy("float32")
    layers = [layer for layer in model._flatten_layers() if layer.compute_dtype != "float32"]
    kept = [layer.dtype_policy for layer in layers]
    for layer in layers:
        layer.dtype_policy = single
    try:
        yield
    finally:
        for layer, policy in zip(layers, kept, strict=True):
            layer.dtype_policy = policy
