"""Equalisation changes nothing in float and evens out channels, along residual streams too."""

import keras
import numpy as np
import pytest
from keras import layers

from edgecnn.export.equalise import channel_sizes, equalisable, equalised
from edgecnn.export.folding import fold
from edgecnn.export.heads import with_probabilities
from edgecnn.export.lowering import lower
from edgecnn.export.statistics import GraphRun
from edgecnn.graph import Graph
from edgecnn.preprocessing import Preprocessing


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, 24, 24, 3), np.uint8)


@pytest.fixture(scope="module")
def residual() -> Graph:
    """A stem, two residual units of a depthwise and two pointwise convolutions, a classifier."""
    keras.utils.set_random_seed(0)
    image = keras.Input((24, 24, 3))
    x = layers.Conv2D(8, 3, strides=2, activation="relu", name="stem")(image)
    for unit in range(2):
        y = layers.Conv2D(16, 1, activation="relu", name=f"expand{unit}")(x)
        y = layers.DepthwiseConv2D(3, padding="same", activation="relu", name=f"dw{unit}")(y)
        y = layers.Conv2D(8, 1, name=f"project{unit}")(y)
        x = layers.Add(name=f"add{unit}")([x, y])
    x = layers.GlobalAveragePooling2D(name="pool")(layers.MaxPooling2D(2)(x))
    model = keras.Model(image, layers.Dense(5, activation="softmax")(x))
    stem = model.get_layer("stem")
    kernel, bias = stem.get_weights()
    stem.set_weights([kernel * np.array([1, 1, 100, 1, 0.01, 1, 1, 1], np.float32), bias])
    return fold(with_probabilities(lower(model)), Preprocessing(24, 24))


def test_a_residual_stream_is_one_group(residual: Graph) -> None:
    groups = [set(group) for group in equalisable(residual)]
    stream = {"stem", "project0", "add0", "project1", "add1", "pool"}
    assert any(stream <= group for group in groups), groups
    assert {"expand0"} in groups
    assert {"dw0"} in groups


def test_float_answers_stay_and_channels_even_out(residual: Graph, images: np.ndarray) -> None:
    even = equalised(residual, images)
    before, after = GraphRun(residual, ()), GraphRun(even, ())
    for image in images:
        np.testing.assert_allclose(after(image[None])[0], before(image[None])[0], atol=1e-5)

    def unevenness(graph: Graph) -> float:
        size = channel_sizes(graph, ["stem"], images)["stem"]
        return float(size.max() / size[size > 0].min())

    assert unevenness(residual) > 1000
    assert unevenness(even) < unevenness(residual) / 2


def test_relu6_takes_no_factor() -> None:
    image = keras.Input((24, 24, 3))
    x = layers.ReLU(6.0)(layers.Conv2D(8, 3, name="clipped")(image))
    x = layers.Conv2D(8, 3, activation="relu", name="free")(x)
    model = keras.Model(
        image, layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling2D(name="g")(x))
    )
    graph = fold(with_probabilities(lower(model)))
    assert [set(group) for group in equalisable(graph)] == [{"free", "g"}]
