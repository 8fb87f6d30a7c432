"""Adaptive rounding: what one weight loses, others restore, by what the layer really sees."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from edgecnn.calibration.default import default_calibration
from edgecnn.export import network as networks
from edgecnn.export.folding import fold
from edgecnn.export.heads import with_probabilities
from edgecnn.export.in_sequence import Seen
from edgecnn.export.lowering import lower
from edgecnn.export.quantised import IntWeights
from edgecnn.export.recipe import Quantiser, Recipe
from edgecnn.export.rounding import WIDEST, compensated, covariances, inputs_of
from edgecnn.export.statistics import GraphRun
from edgecnn.graph import Graph, Operator
from edgecnn.operators import WEIGHTED
from edgecnn.pictures import prepare
from edgecnn.preprocessing import Preprocessing


def lost(real: np.ndarray, rounded: np.ndarray, covariance: np.ndarray) -> float:
    """Mean variance of the outputs' errors."""
    errors = real - rounded
    return float(np.einsum("gio,gij,gjo->go", errors, covariance, errors).mean())


@settings(max_examples=30, deadline=None)
@given(
    inputs=st.integers(2, 150),
    groups=st.integers(1, 3),
    limit=st.sampled_from([63, 127]),
    seed=st.integers(0, 2**32 - 1),
)
def test_integers_within_the_limit_that_lose_less(
    inputs: int, groups: int, limit: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    real = rng.uniform(-limit, limit, (groups, inputs, 64))
    alike = rng.normal(size=(groups, inputs, inputs))
    covariance = 0.05 * np.eye(inputs) + alike @ alike.transpose(0, 2, 1) / inputs
    covariance += 4  # all inputs rise and fall together, as neighbours in pictures do
    found = compensated(real, covariance, limit)
    assert np.array_equal(found, np.round(found))
    assert np.abs(found).max() <= limit
    assert lost(real, found, covariance) < lost(real, np.round(real), covariance)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_inputs_that_have_nothing_to_do_with_each_other_leave_the_nearest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    real = rng.uniform(-127, 127, (2, 30, 5))
    covariance = np.stack([np.diag(rng.uniform(0, 3, 30)) for _ in range(2)])
    assert np.array_equal(compensated(real, covariance, 127), np.round(real).astype(np.float32))


def test_a_layer_that_never_sees_anything_keeps_the_nearest() -> None:
    real = np.random.default_rng(0).uniform(-127, 127, (1, 9, 4))
    assert np.array_equal(compensated(real, np.zeros((1, 9, 9)), 127)[0], np.round(real)[0])


@pytest.mark.parametrize("unit", [1e-40, 1e-20, 1e20])
def test_it_does_not_matter_in_what_unit_the_inputs_are(unit: float) -> None:
    """Signals of an untrained network fade from layer to layer, until float32 cannot tell."""
    rng = np.random.default_rng(0)
    real = rng.uniform(-127, 127, (1, 9, 4))
    seen = rng.normal(size=(1, 9, 9))
    covariance = seen @ seen.transpose(0, 2, 1)
    found = compensated(real, (covariance * unit).astype(np.float32), 127)
    too_faint = unit < 1e-30
    expected = np.round(real) if too_faint else compensated(real, covariance, 127)
    assert np.array_equal(found, expected)


@pytest.fixture(scope="module")
def mixed() -> Graph:
    """Every kind of layer that has weights, with strides, groups, padding and dilation."""
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="strided")(image)
    x = layers.Conv2D(12, 3, groups=4, padding="same", name="grouped")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", name="depthwise")(x)
    x = layers.Conv2D(6, 3, dilation_rate=2, padding="same", name="dilated")(x)
    x = layers.Dense(5, name="logits")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, layers.Softmax()(x))
    return fold(with_probabilities(lower(model)), Preprocessing(16, 16))


def test_the_covariance_tells_the_variance_of_every_output(mixed: Graph) -> None:
    images = np.random.default_rng(1).integers(0, 256, (3, 16, 16, 3), np.uint8)
    found = covariances(mixed, images)
    weighted = [op for op in mixed if op.op in WEIGHTED]
    assert {op.name for op in weighted} == set(found)
    run = GraphRun(mixed, [op.name for op in weighted])
    results = [run(image[None])[1] for image in images]
    for op in weighted:
        covariance = found[op.name]
        groups, inputs, _ = covariance.shape
        kernel = op.weights["kernel"].reshape(inputs, groups, -1).transpose(1, 0, 2)
        told = np.einsum("gio,gij,gjo->go", kernel, covariance, kernel).ravel()
        seen = np.concatenate([r[op.name].reshape(op.shape[-1], -1) for r in results], axis=1)
        np.testing.assert_allclose(told, seen.var(axis=1), rtol=1e-3)


def test_the_pretrained_network_comes_nearer_to_float() -> None:
    network = networks.find("efficientnet_lite0", "imagenet")
    graph = fold(with_probabilities(lower(network.model)), network.preprocessing)
    pictures = default_calibration()
    images = prepare(pictures.pictures[::4], network.preprocessing)
    held_out = prepare(pictures.held_out[::2], network.preprocessing)
    quantiser = Quantiser(graph, images, representative=False)
    exact = GraphRun(graph, ())
    expected = [exact(image[None])[0] for image in held_out]

    def information_lost(recipe: Recipe) -> float:
        quantised = quantiser.quantise(recipe)
        run = GraphRun(quantised.graph, (), quantised)
        answers = [run(image[None])[0] for image in held_out]
        terms = [
            (p * np.log((p + 1e-9) / (q + 1e-9))).sum()
            for p, q in zip(expected, answers, strict=True)
        ]
        return float(np.mean(terms))

    nearest = information_lost(Recipe(rounding="nearest"))
    assert information_lost(Recipe(rounding="adaptive")) < 0.8 * nearest


def test_wide_layers_are_left_alone() -> None:
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    wide = layers.Conv2D(4, 3, name="wide")(layers.Conv2D(WIDEST, 1, name="narrow")(image))
    model = keras.Model(image, layers.Softmax()(layers.Flatten()(wide)))
    graph = fold(with_probabilities(lower(model)), Preprocessing(8, 8))
    assert inputs_of(graph["wide"]) > WIDEST
    found = covariances(graph, np.zeros((1, 8, 8, 3), np.uint8))
    assert "wide" not in found
    assert "narrow" in found


def taken_back(pictures: int, part: float) -> float:
    """How much larger a layer's weights become whose inputs all arrive smaller by that factor."""
    rng = np.random.default_rng(0)
    real = rng.normal(1, 1, (1, 4096, 16)).astype(np.float32)
    kernel = rng.uniform(-0.5, 0.5, (1, 1, 16, 8)).astype(np.float32)
    attributes = {"strides": (1, 1), "groups": 1}
    weights = {"kernel": kernel, "bias": rng.normal(size=8).astype(np.float32)}
    op = Operator("layer", "conv", ["image"], (1, 4, 4, 8), attributes, weights)
    scales = np.full(8, 1 / 127)
    ints = IntWeights(np.zeros(kernel.shape, np.int8), np.zeros(8, np.int32), scales)
    found = Seen(real, part * real, pictures).rounded(op, ints, np.float32(1e-3), 127)
    exact = real[0] @ kernel[0, 0] + weights["bias"]
    bias = found.bias * scales * 1e-3
    told = part * real[0] @ (found.kernel[0, 0] * scales) + bias
    np.testing.assert_allclose(told.mean(axis=0), exact.mean(axis=0), atol=1e-3)
    return float((found.kernel[0, 0] * scales * kernel[0, 0]).sum() / (kernel**2).sum())


def test_what_many_pictures_say_arrives_too_small_is_made_larger() -> None:
    assert taken_back(pictures=10**6, part=0.8) == pytest.approx(1 / 0.8, rel=0.01)
    assert taken_back(pictures=384, part=0.8) == pytest.approx((1 + 1 / 0.8) / 2, rel=0.02)
    assert taken_back(pictures=1, part=0.8) == pytest.approx(1, abs=0.01)
    assert taken_back(pictures=1, part=1) == pytest.approx(1, abs=0.01)
