"""The integers are the same on ARM as here, and so are the probabilities but for rounding."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.arm


def test_litert_computes_the_very_same_integers(
    board64: Any, answers_of: Callable[..., Any], x86_answers: Any
) -> None:
    here, there = x86_answers, answers_of(board64.run, "litert", "onnxruntime")
    np.testing.assert_array_equal(there["integers"], here["integers"])
    assert there["integers"].dtype == np.int8
    assert len(np.unique(there["integers"])) > 20  # a network that is alive
    # XNNPACK's softmax is in float, its exponential a different polynomial on each processor.
    np.testing.assert_allclose(there["litert"], here["litert"], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(there["onnxruntime"], here["onnxruntime"], rtol=1e-5, atol=1e-7)


def test_tflite_runtime_computes_what_the_reference_does(
    board32: Any, answers_of: Callable[..., Any], x86_answers: Any
) -> None:
    """Without XNNPACK, whose rounding differs by some steps at the end of the network."""
    here, there = x86_answers, answers_of(board32.run, "litert")
    # Its kernels break a rare tie in rounding the other way.
    apart = there["integers"].astype(int) - here["reference"]
    assert np.abs(apart).max() <= 1
    assert (apart != 0).mean() <= 0.002
    np.testing.assert_allclose(there["litert"], here["litert"], atol=0.05)
    np.testing.assert_array_equal(there["litert"].argmax(1), here["litert"].argmax(1))
