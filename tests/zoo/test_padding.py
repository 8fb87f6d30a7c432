"""The padding rules against torch's and Caffe's definitions, in numpy."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecnn import zoo
from edgecnn.zoo.blocks import convolution, max_pool, max_pool_signed, padding_of


def pooled(x: np.ndarray, size: int, stride: int, before: int, count: int) -> np.ndarray:
    """Maxima of the windows at -before, -before + stride, ...; outside counts for nothing."""
    side = x.shape[1]
    rows = []
    for i in range(count):
        low, high = max(0, i * stride - before), min(side, i * stride - before + size)
        rows.append((low, high))
    return np.stack(
        [np.stack([x[:, a:b, c:d].max((1, 2)) for c, d in rows], 1) for a, b in rows], 1
    )


@settings(max_examples=40, deadline=None)
@given(side=st.integers(3, 20), size=st.sampled_from([3, 5]), seed=st.integers(0, 99))
def test_pools_follow_torch(side: int, size: int, seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((1, side, side, 2)).astype("float32")
    count = (side + 2 * (size // 2) - size) // 2 + 1
    signed = max_pool_signed(x, size, 2, "pool", padding="symmetric")
    np.testing.assert_array_equal(np.asarray(signed), pooled(x, size, 2, size // 2, count))
    x = np.abs(x)
    positive = max_pool(x, size, 2, "pool", padding="symmetric")
    np.testing.assert_array_equal(np.asarray(positive), pooled(x, size, 2, size // 2, count))


@settings(max_examples=40, deadline=None)
@given(side=st.integers(4, 20), size=st.sampled_from([2, 3]), seed=st.integers(0, 99))
def test_pools_follow_caffe(side: int, size: int, seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((1, side, side, 2)).astype("float32")
    count = -(-(side - size) // 2) + 1
    result = max_pool_signed(x, size, 2, "pool", padding="caffe")
    np.testing.assert_array_equal(np.asarray(result), pooled(x, size, 2, 0, count))


@settings(max_examples=12, deadline=None)
@given(side=st.integers(7, 20), kernel=st.sampled_from([1, 3, 5, 7]), seed=st.integers(0, 99))
def test_convolutions_follow_torch(side: int, kernel: int, seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((1, side, side, 2)).astype("float32")
    image = keras.Input((side, side, 2))
    model = keras.Model(image, convolution(image, 3, kernel, "conv", stride=2, padding="symmetric"))
    weights = model.get_layer("conv").kernel.numpy()
    padded = np.pad(x, [(0, 0), *[(kernel // 2, kernel // 2)] * 2, (0, 0)])
    count = (side + 2 * (kernel // 2) - kernel) // 2 + 1
    expected = np.stack(
        [
            np.stack(
                [
                    np.tensordot(
                        padded[:, 2 * i : 2 * i + kernel, 2 * j : 2 * j + kernel], weights, 3
                    )
                    for j in range(count)
                ],
                1,
            )
            for i in range(count)
        ],
        1,
    )
    np.testing.assert_allclose(np.asarray(model(x)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rule", ["same", "symmetric", "caffe"])
@pytest.mark.parametrize("name", ["resnet18", "googlenet"])
def test_a_network_shows_its_rule(name: str, rule: zoo.Padding) -> None:
    with keras.StatelessScope(initialize_variables=False):
        assert padding_of(zoo.build(name, (64, 64, 3), padding=rule)) == rule


@pytest.mark.parametrize("rule", ["same", "symmetric"])
@pytest.mark.parametrize("name", ["cspresnet50", "efficientnet_lite0"])
def test_networks_without_a_zero_padded_pool_show_it_too(name: str, rule: zoo.Padding) -> None:
    with keras.StatelessScope(initialize_variables=False):
        assert padding_of(zoo.build(name, (64, 64, 3), padding=rule)) == rule


@pytest.mark.parametrize("name", ["vgg16", "lenet5", "inception_v4", "mobilenet_v2"])
def test_networks_without_a_choice_are_same(name: str) -> None:
    with keras.StatelessScope(initialize_variables=False):
        assert padding_of(zoo.build(name)) == "same"
