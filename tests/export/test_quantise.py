"""The arithmetic of quantisation, by properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgecnn.export.quantise import int_weights
from edgecnn.export.quantised import Scale
from edgecnn.graph import Operator

reals = st.floats(-1e4, 1e4, width=32)


@given(st.tuples(reals, reals).map(sorted))
def test_a_scale_covers_its_range_and_holds_zero_exactly(bounds: list[float]) -> None:
    low, high = bounds
    scale = Scale.of_range(low, high)
    assert 0 <= scale.zero_point <= 255
    assert scale.low <= 0 <= scale.high
    # Rounding the zero point may cut half a step at either end.
    half = scale.scale / 2 * (1 + 1e-5)
    if max(abs(low), abs(high)) > 1e-6:
        assert scale.low <= min(low, 0) + half
        assert scale.high >= max(high, 0) - half


@given(
    hnp.arrays(np.float32, (3, 3, 4, 6), elements=st.floats(-100, 100, width=32)),
    hnp.arrays(np.float32, (6,), elements=st.floats(-1e6, 1e6, width=32)),
    st.floats(1e-6, 10.0),
    st.floats(1e-6, 10.0),
)
def test_integer_weights_are_within_half_a_step_and_biases_fit(
    kernel: np.ndarray, bias: np.ndarray, input_scale: float, output_scale: float
) -> None:
    op = Operator("c", "conv", ["x"], (1, 8, 8, 6), {}, {"kernel": kernel, "bias": bias})
    found = int_weights(op, input_scale, output_scale)
    assert found.kernel.dtype == np.int8
    assert np.abs(found.kernel.astype(int)).max() <= 127
    assert (found.scales * input_scale / output_scale >= 2**-31).all()
    error = np.abs(found.kernel * found.scales - kernel)
    assert (error <= found.scales / 2 * (1 + 1e-5) + 1e-30).all()
    step = found.scales.astype(np.float64) * np.float32(input_scale)
    assert (np.abs(found.bias * step - bias) <= step * 0.51 + np.abs(bias) * 1e-6).all()


@pytest.mark.parametrize(
    ("scale", "activation", "left"),
    [
        (Scale(0.1, 0), None, None),
        (Scale(0.1, 0), "relu", None),
        (Scale(0.1, 3), "relu", "relu"),
        (Scale(6 / 255, 0), "relu6", None),
        (Scale(0.02, 0), "relu6", None),
        (Scale(0.1, 0), "relu6", "relu6"),
        (Scale.symmetric(-6, 6), "relu6", "relu"),
        (Scale.symmetric(-7, 7), "relu6", "relu6"),
    ],
)
def test_an_activation_is_left_out_as_far_as_the_range_is_it(
    scale: Scale, activation: str | None, left: str | None
) -> None:
    assert scale.left_of(activation) == left
