"""The text's two layers against its equations, written out in numpy."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecnn.checkpoint import Checkpoint
from edgecnn.errors import EdgeCnnError
from edgecnn.layers import DepthPool, LocalResponseNormalization
from edgecnn.preprocessing import Preprocessing


def picture(channels: int, seed: int) -> np.ndarray:
    return 10 * np.random.default_rng(seed).standard_normal((2, 3, 2, channels)).astype("float32")


def normalised(x: np.ndarray, size: int, alpha: float, beta: float, k: float) -> np.ndarray:
    result = np.empty_like(x)
    channels = x.shape[-1]
    for i in range(channels):
        low, high = max(0, i - size // 2), min(i + size // 2, channels - 1)
        total = sum(x[..., j] ** 2 for j in range(low, high + 1))
        result[..., i] = x[..., i] * (k + alpha * total) ** -beta
    return result


@settings(max_examples=25, deadline=None)
@given(
    channels=st.integers(1, 12),
    size=st.integers(1, 15),
    alpha=st.floats(1e-5, 2),
    beta=st.floats(0.1, 1.5),
    k=st.floats(0.5, 3),
    seed=st.integers(0, 99),
)
def test_lrn_follows_the_equation(
    channels: int, size: int, alpha: float, beta: float, k: float, seed: int
) -> None:
    x = picture(channels, seed)
    layer = LocalResponseNormalization(size=size, alpha=alpha, beta=beta, k=k)
    expected = normalised(x, size, alpha, beta, k)
    np.testing.assert_allclose(np.asarray(layer(x)), expected, rtol=2e-5, atol=1e-6)


def test_lrn_is_tensorflows_with_half_the_size_as_depth_radius() -> None:
    import tensorflow as tf

    x = picture(9, 0)
    ours = np.asarray(LocalResponseNormalization(size=5, alpha=0.3, beta=0.75, k=2)(x))
    theirs = tf.nn.local_response_normalization(x, depth_radius=2, bias=2, alpha=0.3, beta=0.75)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(groups=st.integers(1, 6), pool_size=st.integers(1, 5), seed=st.integers(0, 99))
def test_depth_pool_takes_the_largest_of_successive_channels(
    groups: int, pool_size: int, seed: int
) -> None:
    x = picture(groups * pool_size, seed)
    expected = np.stack(
        [x[..., i * pool_size : (i + 1) * pool_size].max(axis=-1) for i in range(groups)], axis=-1
    )
    layer = DepthPool(pool_size)
    np.testing.assert_array_equal(np.asarray(layer(x)), expected)
    assert layer.compute_output_shape((None, 3, 2, groups * pool_size)) == (None, 3, 2, groups)


def test_depth_pool_names_the_size_that_does_not_divide() -> None:
    with pytest.raises(EdgeCnnError, match="pool_size 3 does not divide 8 channels"):
        DepthPool(3)(picture(8, 0))


@pytest.mark.parametrize(
    ("layer", "options"),
    [
        (DepthPool, {"pool_size": 0}),
        (LocalResponseNormalization, {"size": 0}),
        (LocalResponseNormalization, {"k": 0.0}),
        (LocalResponseNormalization, {"alpha": -1.0}),
    ],
)
def test_senseless_options_are_refused(layer: Any, options: dict[str, Any]) -> None:
    with pytest.raises(EdgeCnnError):
        layer(**options)


def test_both_work_in_a_network_of_unknown_size_and_reload(tmp_path: Path) -> None:
    image = keras.Input((None, None, 6))
    x = LocalResponseNormalization(size=3, alpha=0.5, beta=0.6, k=1.5)(image)
    model = keras.Model(image, DepthPool(3)(x))
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    x = picture(6, 1)
    np.testing.assert_array_equal(np.asarray(model(x)), np.asarray(again(x)))
    assert again.layers[1].get_config()["beta"] == 0.6


def test_a_checkpoint_with_them_opens_in_a_fresh_process(tmp_path: Path) -> None:
    image = keras.Input((4, 4, 6))
    keras.Model(image, DepthPool(3)(LocalResponseNormalization()(image))).save(
        tmp_path / "model.keras"
    )
    preprocessing = Preprocessing(4, 4, 3)
    Checkpoint(tmp_path, "alexnet", preprocessing, ("a", "b"), "2020-01-01", {}).write()
    code = (
        "import sys, pathlib; from edgecnn.checkpoint import Checkpoint;"
        "print(Checkpoint.load(pathlib.Path(sys.argv[1])).load_model().output.shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True
    )
    assert done.stdout.strip() == "(None, 4, 4, 2)", done.stderr


def test_both_learn() -> None:
    image = keras.Input((4, 4, 2))
    x = keras.layers.Conv2D(6, 1)(image)
    x = DepthPool(2)(LocalResponseNormalization()(x))
    model = keras.Model(image, keras.layers.Flatten()(x))
    model.compile("sgd", "mse")
    before = model.layers[1].kernel.numpy()
    model.fit(np.ones((8, 4, 4, 2)), np.ones((8, 48)), verbose=0)
    assert np.abs(model.layers[1].kernel.numpy() - before).max() > 0
