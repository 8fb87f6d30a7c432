"""Imported weights: torch's own logits, and a clear refusal of what does not fit."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

from edgecnn import weights, zoo
from edgecnn.errors import WeightsError
from edgecnn.weights.mapping import assign

LoadReference = Callable[[str], Any]
Tensors = dict[str, np.ndarray]
Save = Callable[[Tensors], str]

NETWORKS = {
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
    "resnext50_32x4d": "resnext50_32x4d",
    "timm_cspresnet50": "cspresnet50",
    "timm_inception_v4": "inception_v4",
    "timm_seresnet50": "seresnet50",
    "timm_tf_efficientnet_lite0": "efficientnet_lite0",
    "timm_tf_efficientnet_lite1": "efficientnet_lite1",
}
LARGE_NETWORKS = {
    "timm_legacy_senet154": "senet154",
    "timm_senet154": "senet154",
    "timm_vgg16": "vgg16",
    "vgg16": "vgg16",
}


@pytest.fixture
def float_width() -> Iterator[Callable[[str], None]]:
    """Sets Keras's default type for one test."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        *NETWORKS.items(),
        *(pytest.param(*item, marks=pytest.mark.slow) for item in LARGE_NETWORKS.items()),
    ],
)
def test_gives_torchs_logits(
    reference: str,
    name: str,
    load_reference: LoadReference,
    float_width: Callable[[str], None],
    tmp_path: Path,
) -> None:
    torch = load_reference(reference)
    float_width(torch.dtype)
    save_file(torch.tensors(), tmp_path / "w.safetensors")
    model, origin = zoo.build_with_weights(
        name,
        (torch.size, torch.size, 3),
        weights=str(tmp_path / "w.safetensors"),
        classifier_activation=None,
    )
    assert origin is not None
    assert (origin.kind, origin.source, len(origin.sha256)) == ("pretrained", "w.safetensors", 64)
    figures = zoo.get(name).figures
    assert figures.trainable_parameters == torch.parameters
    if torch.size == zoo.get(name).input_shape[0]:
        assert figures.macs == torch.macs
    logits = np.asarray(model(torch.picture(), training=False))[0]
    assert np.abs(logits - torch.logits).max() < 1e-4 * torch.logits.std()


@pytest.fixture(scope="module")
def state() -> Tensors:
    """A resnet18 of 4 classes as torch would save it."""
    model = zoo.build("resnet18", (32, 32, 3), 4)
    tensors: Tensors = {}
    for layer in model.layers:
        values = [np.array(w) for w in layer.get_weights()]
        if isinstance(layer, keras.layers.Conv2D):
            tensors[f"{layer.name}.weight"] = values[0].transpose(3, 2, 0, 1)
        elif isinstance(layer, keras.layers.BatchNormalization):
            suffixes = ("weight", "bias", "running_mean", "running_var")
            tensors.update({f"{layer.name}.{s}": v for s, v in zip(suffixes, values, strict=True)})
            tensors[f"{layer.name}.num_batches_tracked"] = np.array(7)
        elif isinstance(layer, keras.layers.Dense):
            tensors["fc.weight"], tensors["fc.bias"] = values[0].T, values[1]
    return {name: np.ascontiguousarray(values) for name, values in tensors.items()}


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def write(tensors: Tensors) -> str:
        save_file(tensors, tmp_path / "w.safetensors")
        return str(tmp_path / "w.safetensors")

    return write


def test_weights_choose_the_padding_they_were_trained_with(state: Tensors, save: Save) -> None:
    file = save(state)
    model = zoo.build("resnet18", (32, 32, 3), 4, weights=file)
    assert weights.padding_of(model) == "symmetric"
    with pytest.raises(WeightsError, match="need padding='symmetric'"):
        zoo.build("resnet18", (32, 32, 3), 4, weights=file, padding="same")


def test_half_precision_weights_load(state: Tensors, save: Save) -> None:
    halves = {k: v.astype("float16") if v.dtype == "float32" else v for k, v in state.items()}
    model = zoo.build("resnet18", (32, 32, 3), 4, weights=save(halves))
    kernel = model.get_layer("conv1").kernel
    np.testing.assert_array_equal(kernel, halves["conv1.weight"].transpose(2, 3, 1, 0))


def test_a_network_without_its_top_leaves_the_classifier_out(state: Tensors, save: Save) -> None:
    model = zoo.build("resnet18", (32, 32, 3), weights=save(state), include_top=False)
    np.testing.assert_array_equal(model.get_layer("bn1").gamma, state["bn1.weight"])
    with pytest.raises(WeightsError, match=r"1 left over \(layer9.weight\)"):
        zoo.build(
            "resnet18",
            (32, 32, 3),
            weights=save({**state, "layer9.weight": np.zeros(3, "float32")}),
            include_top=False,
        )


def test_what_does_not_fit_is_listed_and_nothing_is_loaded(state: Tensors, save: Save) -> None:
    model = zoo.build("resnet18", (32, 32, 3), 4, padding="symmetric")
    before = [np.array(w) for w in model.get_weights()]
    broken = {k: v for k, v in state.items() if k not in ("bn1.bias", "layer1.0.conv1.weight")}
    broken["extra.weight"] = np.zeros(3, "float32")
    broken["fc.weight"] = np.zeros((5, 512), "float32")
    with pytest.raises(WeightsError) as caught:
        weights.load_weights(model, zoo.get("resnet18"), save(broken))
    message = str(caught.value)
    assert "2 missing (bn1.bias, layer1.0.conv1.weight)" in message
    assert "1 left over (extra.weight)" in message
    assert "1 misshapen (fc.weight (5, 512) for (512, 4))" in message
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_long_lists_are_cut(state: Tensors, save: Save) -> None:
    only = {"conv1.weight": state["conv1.weight"]}
    with pytest.raises(WeightsError, match="and 96 more"):
        zoo.build("resnet18", (32, 32, 3), 4, weights=save(only))


@pytest.mark.parametrize(
    ("shape", "values"),
    [("transposed", (3, 7, 7, 64)), ("flat", (64 * 3 * 7 * 7,)), ("rank", (64, 3, 7, 7, 1))],
)
def test_a_tensor_of_other_rank_or_order_is_misshapen(
    shape: str, values: tuple[int, ...], state: Tensors, save: Save
) -> None:
    broken = {**state, "conv1.weight": np.zeros(values, "float32")}
    with pytest.raises(WeightsError, match="1 misshapen"):
        zoo.build("resnet18", (32, 32, 3), 4, weights=save(broken))


def test_a_dense_layer_after_a_flatten_gets_its_rows_reordered() -> None:
    image = keras.Input((2, 3, 4))
    x = keras.layers.Flatten()(image)
    x = keras.layers.Dropout(0.5)(x)
    x = keras.layers.Dense(5, name="first")(x)
    model = keras.Model(image, keras.layers.Dense(2, name="second")(x))
    rng = np.random.default_rng(0)
    first = rng.standard_normal((5, 24)).astype("float32")
    second = rng.standard_normal((2, 5)).astype("float32")
    tensors = {
        "first.weight": first,
        "first.bias": np.ones(5, "float32"),
        "second.weight": second,
        "second.bias": np.zeros(2, "float32"),
    }
    x = rng.standard_normal((1, 2, 3, 4)).astype("float32")
    torch_flat = x.transpose(0, 3, 1, 2).reshape(1, -1)
    expected = (torch_flat @ first.T + 1) @ second.T
    assign(model, tensors, "file")
    np.testing.assert_allclose(np.asarray(model(x)), expected, rtol=1e-5)
    # timm writes the same layer as a convolution over the whole map.
    tensors["first.weight"] = first.reshape(5, 4, 2, 3)
    assign(model, tensors, "file")
    np.testing.assert_allclose(np.asarray(model(x)), expected, rtol=1e-5)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="No weights file"):
        zoo.build("resnet18", weights=str(tmp_path / "nothing.safetensors"))
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\x10\0\0\0\0\0\0\0not json at all.")
    with pytest.raises(WeightsError, match=r"not a readable \.safetensors file"):
        zoo.build("resnet18", weights=str(broken))
    with pytest.raises(WeightsError, match="lenet5 takes no weights from files"):
        zoo.build("lenet5", weights=str(broken))
