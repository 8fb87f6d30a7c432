"""The float32 twin of a network that was trained in mixed precision."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def _single(variables: str) -> "keras.DTypePolicy":
    """Computes in float32, and so casts variables of another type when they are read."""
    import keras

    policy = keras.DTypePolicy("float32")
    policy._variable_dtype = variables  # Keras has a name only for float32 in narrower types
    return policy


@contextmanager
def in_float32(model: "keras.Model") -> Iterator[None]:
    """Let every layer compute in float32 while the context is open.

    Mixed precision is for training's speed, and what boards run is rounded from the variables, of
    whatever type they are, not from what half precision made of them.
    """
    layers = [layer for layer in model._flatten_layers() if layer.compute_dtype != "float32"]
    kept = [layer.dtype_policy for layer in layers]
    for layer in layers:
        layer.dtype_policy = _single(layer.variable_dtype)
    try:
        yield
    finally:
        for layer, policy in zip(layers, kept, strict=True):
            layer.dtype_policy = policy
