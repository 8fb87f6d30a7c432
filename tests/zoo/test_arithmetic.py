"""The text's arithmetic against Keras itself."""

import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecnn import arithmetic
from edgecnn.errors import EdgeCnnError

lengths = st.integers(1, 40)
kernels = st.integers(1, 9)
strides = st.integers(1, 5)
rules = st.sampled_from(["same", "valid"])


@settings(max_examples=100, deadline=None)
@given(size=lengths, kernel=kernels, stride=strides, rule=rules)
def test_output_size_is_keras(size: int, kernel: int, stride: int, rule: arithmetic.Rule) -> None:
    ours = arithmetic.output_size(size, kernel, stride, rule)
    if rule == "valid" and kernel > size:
        assert ours == 0
        return
    layer = keras.layers.Conv2D(1, kernel, strides=stride, padding=rule)
    assert layer.compute_output_shape((None, size, size, 1))[1] == ours


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 20), kernel=kernels, stride=strides, seed=st.integers(0, 99))
def test_same_is_valid_after_the_padding_columns(
    size: int, kernel: int, stride: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((1, size, size, 1)).astype("float32")
    weights = rng.standard_normal((kernel, kernel, 1, 1)).astype("float32")
    columns = arithmetic.padding_columns(size, kernel, stride)
    padded = np.pad(x, [(0, 0), columns, columns, (0, 0)])
    same = keras.ops.conv(x, weights, strides=stride, padding="same")
    valid = keras.ops.conv(padded, weights, strides=stride, padding="valid")
    length = arithmetic.output_size(size, kernel, stride)
    np.testing.assert_allclose(
        np.asarray(same), np.asarray(valid)[:, :length, :length], rtol=1e-4, atol=1e-4
    )
    before, after = columns
    assert after - before in (0, 1)


@settings(max_examples=60, deadline=None)
@given(
    kernel=st.tuples(kernels, kernels),
    groups=st.integers(1, 4),
    channels=st.integers(1, 4),
    filters=st.integers(1, 4),
    bias=st.booleans(),
)
def test_convolution_parameters_are_keras(
    kernel: tuple[int, int], groups: int, channels: int, filters: int, bias: bool
) -> None:
    layer = keras.layers.Conv2D(filters * groups, kernel, groups=groups, use_bias=bias)
    layer.build((None, 16, 16, channels * groups))
    ours = arithmetic.convolution_parameters(
        kernel, channels * groups, filters * groups, groups=groups, bias=bias
    )
    assert ours == layer.count_params()


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(9, 30),
    width=st.integers(9, 30),
    kernel=st.tuples(kernels, kernels),
    stride=strides,
    rule=rules,
)
def test_macs_are_weights_times_positions(
    height: int, width: int, kernel: tuple[int, int], stride: int, rule: arithmetic.Rule
) -> None:
    layer = keras.layers.Conv2D(7, kernel, strides=stride, padding=rule, use_bias=False)
    layer.build((None, height, width, 3))
    _, rows, columns, _ = layer.compute_output_shape((None, height, width, 3))
    ours = arithmetic.convolution_macs((height, width), kernel, 3, 7, stride=stride, padding=rule)
    assert ours == layer.count_params() * rows * columns


@given(inputs=lengths, units=lengths, bias=st.booleans())
@settings(deadline=None)
def test_dense_is_keras(inputs: int, units: int, bias: bool) -> None:
    layer = keras.layers.Dense(units, use_bias=bias)
    layer.build((None, inputs))
    assert arithmetic.dense_parameters(inputs, units, bias=bias) == layer.count_params()
    assert arithmetic.dense_macs(inputs, units) == math.prod(layer.kernel.shape)


def test_the_texts_example() -> None:
    """200 5×5 filters, stride 1, same, on 150×100 RGB; dense for comparison."""
    assert arithmetic.convolution_parameters((5, 5), 3, 200) == 15_200
    assert arithmetic.convolution_macs((150, 100), (5, 5), 3, 200) == 225_000_000
    assert arithmetic.activation_bytes((200, 150, 100)) == 12_000_000
    assert arithmetic.activation_bytes((100, 200, 150, 100)) == 1_200_000_000
    assert arithmetic.activation_bytes((3,), bits=4) == 2


@pytest.mark.parametrize("lengths", [(0, 3, 1), (5, 0, 1), (5, 3, 0)])
def test_lengths_below_one_are_refused(lengths: tuple[int, int, int]) -> None:
    with pytest.raises(EdgeCnnError, match="must be at least 1"):
        arithmetic.output_size(*lengths)


def test_groups_must_divide() -> None:
    with pytest.raises(EdgeCnnError, match="3 groups do not divide 8 channels"):
        arithmetic.convolution_parameters((3, 3), 8, 9, groups=3)
