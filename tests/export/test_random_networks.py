"""Networks that nobody wrote say in every engine what they say in Keras; see random_networks.py."""

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from edgecnn.errors import EdgeCnnError
from edgecnn.preprocessing import Preprocessing


def _beside(name: str) -> ModuleType:
    """A module of this folder, which is no package."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


random_networks = _beside("random_networks")
differential = _beside("differential")
Inside, Computes = random_networks.Inside, random_networks.Computes

MANY = int(os.environ.get("EDGECNN_NETWORKS", "1000"))
COVERING = (8, 29, 32, 42, 55, 56, 61, 64, 80, 96, 101, 106, 116, 145, *range(200, 204))
"""Seeds above 10000 that have every block among them, and some more."""


def wrong(seed: int) -> str:
    """What is wrong with the network of a seed, described; empty where nothing is."""
    drawn = random_networks.drawn(seed)
    try:
        found = differential.check(drawn)
    except EdgeCnnError as error:
        found = [f"refused: {error}"]
    except Exception as error:
        found = [repr(error)]
    return "\n".join([*found, random_networks.describe(drawn)]) if found else ""


@pytest.mark.parametrize("seed", COVERING)
def test_a_random_network_says_what_keras_says(seed: int) -> None:
    found = wrong(10000 + seed)
    assert not found, found


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_thousands_of_random_networks_say_what_keras_says() -> None:
    failures = [found for seed in range(20000, 20000 + MANY) if (found := wrong(seed))]
    # What sorts cannot be exported, and is refused.
    real = [found for found in failures if "TopKV2" not in found]
    assert not real, "\n\n".join(real)


def pixels(x: Any) -> Any:
    return layers.Reshape((-1, x.shape[-1]))(x)


def through(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: Computes(function)(x)


def dark(x: Any) -> Any:
    """As what comes from a picture that is black in places."""
    return ops.relu(x - 0.6)


FOUND: dict[str, Callable[[Any], Any]] = {
    "attention of Keras 3.15": lambda x: layers.MultiHeadAttention(2, 3)(pixels(x), pixels(x)),
    "dilated, in a layer": lambda x: Inside(
        layers.Conv2D(6, 3, dilation_rate=2, padding="same", groups=2)
    )(x),
    "dilated by channel, in a layer": lambda x: Inside(
        layers.DepthwiseConv2D((3, 2), dilation_rate=(1, 2))
    )(x),
    "dilated along a line": lambda x: layers.Conv1D(4, 3, dilation_rate=2, padding="causal")(
        pixels(x)
    ),
    "grouped, in a layer": lambda x: Inside(layers.Conv2D(6, 3, groups=3))(x),
    "a tf.function": lambda x: random_networks.Compiled()(x),
    "augmentation, in a layer": lambda x: Inside(layers.RandomContrast(0.5))(x),
    "bicubic": lambda x: layers.UpSampling2D(2, interpolation="bicubic")(x),
    "antialiased": through(lambda v: ops.image.resize(v, (5, 7), antialias=True)),
    "letterboxed": lambda x: layers.Resizing(9, 15, pad_to_aspect_ratio=True)(x),
    "cropped to a shape": lambda x: layers.Resizing(9, 15, crop_to_aspect_ratio=True)(x),
    "running sums": through(lambda v: ops.cumsum(v, axis=2) * 0.1),
    "a triangle": through(lambda v: ops.tril(v) + v),
    "a token in front": through(
        lambda v: ops.concatenate(
            [ops.zeros((ops.shape(v)[0], 1, 6)) + 0.7, ops.reshape(v, (-1, 144, 6))], axis=1
        )
    ),
    "logic": through(
        lambda v: ops.where(
            ops.logical_and(v > 0.2, ops.logical_not(ops.any(v > 1.5, axis=-1, keepdims=True))),
            v,
            v * 0.5,
        )
    ),
    "truths that move": through(
        lambda v: ops.where(ops.transpose(v > 0.3, (0, 2, 1, 3)), v, 0.5 * v)
    ),
    "truths between nodes": lambda x: ops.cast(x > 0.3, "float32") * x,
    "a layer of ones": lambda x: ops.concatenate(
        [x, ops.cos(ops.ones_like(x[..., :1])) * 0.5], axis=-1
    ),
    "where in the picture": lambda x: layers.Concatenate()(
        [x, ops.zeros_like(x[..., :1]) + np.linspace(-1, 1, 12, dtype="f4")[None, :, None, None]]
    ),
    "a mask of constants": through(lambda v: ops.where(np.arange(6) % 2 == 0, v, -0.5)),
    "whole numbers": through(
        lambda v: ops.one_hot(ops.cast(v[..., 0] * 2, "int32"), 3) + v[..., :1]
    ),
    "remainders": through(lambda v: ops.mod(v + 0.137, 0.6) + v),
    "arcs": through(lambda v: ops.arcsin(ops.tanh(v) * 0.9) + ops.arctan2(v, v + 0.5)),
    "sums in Einstein's notation": through(
        lambda v: ops.einsum("bhwc,wcd->bhwd", v, np.ones((12, 6, 3), np.float32) * 0.2)
    ),
    "adaptive pool": lambda x: layers.AdaptiveAveragePooling2D((5, 3))(x),
    "pooled to one row": lambda x: layers.Concatenate()(
        [
            layers.Reshape((1, 6))(layers.GlobalAveragePooling2D()(x)),
            layers.Dense(6)(layers.Reshape((1, 6))(layers.GlobalMaxPooling2D()(x))),
        ]
    ),
    "points behind zeros": lambda x: layers.Conv2D(8, 1, strides=2)(layers.ZeroPadding2D(1)(x)),
    "wide zeros before a pool": lambda x: layers.MaxPooling2D(3, 2, padding="same")(
        layers.ZeroPadding2D(2)(layers.ReLU()(x))
    ),
    "normalised where it is black": lambda x: layers.UnitNormalization()(dark(x)),
    "root mean square where it is black": lambda x: layers.RMSNormalization()(dark(x)),
    "layer norm of what is nearly even": lambda x: layers.LayerNormalization()(x + 20.0),
    "group norm of what is nearly even": lambda x: layers.GroupNormalization(2)(x + 20.0),
    "maxima of channels": lambda x: random_networks.SpatialAttention()(ops.gelu(x)),
    "the same for every picture": lambda x: layers.Softmax(axis=1)(x),
    "elu of what is never negative": lambda x: layers.ELU(0.5)(layers.ReLU()(x)),
}

FIRST: dict[str, Callable[[Any], Any]] = {
    "points of each colour": lambda x: layers.DepthwiseConv2D(
        1, depth_multiplier=3, activation="relu"
    )(x / 255),
    "every second point of each colour": lambda x: layers.DepthwiseConv2D(1, strides=2)(x / 255),
}
"""Found at the picture itself, not behind a convolution."""


@pytest.mark.parametrize("name", [*FOUND, *FIRST])
def test_what_random_networks_found_stays_right(name: str) -> None:
    keras.utils.set_random_seed(4)
    size = (14, 14, 3)
    picture = keras.Input(size)
    scaled = FIRST.get(name, layers.Rescaling(1 / 127.5, offset=-1))
    x = layers.Conv2D(6, 3, activation="relu")(scaled(picture))
    x = FOUND[name](x) if name in FOUND else x
    if len(x.shape) > 2:
        pools = {3: layers.GlobalAveragePooling1D, 4: layers.GlobalAveragePooling2D}
        x = pools[len(x.shape)]()(x)
    logits = layers.Dense(4)(x)
    draw = random_networks.Draw(
        np.random.default_rng(5), picture, random_networks.pictures(16, size, 6).astype("f4")
    )
    random_networks.spread(draw, logits)
    model = keras.Model(picture, layers.Softmax()(logits))
    raw = Preprocessing(*size, mean=(0.0,), std=(1.0,))
    drawn = random_networks.Drawn(0, model, [name], raw, size, None, None, [])
    # A direction of what is nearly nothing is lost in 8 bits, whoever rounds.
    assert differential.check(drawn, name != "normalised where it is black") == []
