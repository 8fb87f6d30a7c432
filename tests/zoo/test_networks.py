"""Every network of the registry: a new one is tested with nothing edited here."""

import math
import re
from pathlib import Path

import keras
import numpy as np
import pytest

from edgecnn import zoo
from edgecnn.errors import EdgeCnnError, UnknownName
from edgecnn.zoo.figures import figures_of

TRAINABLE = {
    "lenet5": 61_706,
    "fashion_cnn": 1_413_834,
    "alexnet": 62_378_344,
    "zfnet": 62_357_608,
    "googlenet": 6_998_552,
    "inception_v3": 23_817_352,
    "inception_v4": 42_679_816,
    "xception": 22_855_952,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "seresnet50": 28_088_024,
    "senet154": 115_088_984,
    "resnext50_32x4d": 25_028_904,
    "cspresnet50": 21_616_168,
    "densenet121": 7_978_856,
    "densenet169": 14_149_480,
    "densenet201": 20_013_928,
    "mobilenet_v1": 4_231_976,
    "mobilenet_v2": 3_504_872,
    "mobilenet_v3_small": 2_542_856,
    "mobilenet_v3_large": 5_483_032,
    "efficientnet_b0": 5_288_548,
    "efficientnet_b1": 7_794_184,
    "efficientnet_b2": 9_109_994,
    "efficientnet_b3": 12_233_232,
    "efficientnet_lite0": 4_652_008,
    "efficientnet_lite1": 5_416_680,
    "efficientnet_lite2": 6_092_072,
}
"""As published by the papers, torchvision, timm or Keras."""
PUBLISHED_GMACS = {
    "resnet18": 1.814,
    "resnet34": 3.664,
    "resnet50": 4.089,
    "resnet101": 7.801,
    "resnet152": 11.514,
    "resnext50_32x4d": 4.230,
    "vgg16": 15.470,
    "vgg19": 19.632,
    "densenet121": 2.834,
    "densenet169": 3.360,
    "densenet201": 4.291,
    "mobilenet_v2": 0.3008,
    "mobilenet_v3_large": 0.217,
    "inception_v3": 5.713,
    "efficientnet_b0": 0.386,
    "efficientnet_b1": 0.687,
}
"""torchvision's, at the same input size."""


def small(name: str) -> tuple[int, int, int]:
    """An input that is quick and a little larger than what the network just takes."""
    entry = zoo.get(name)
    side = max(entry.minimum_side, min(64, entry.input_shape[0]))
    return (side, side, entry.input_shape[2])


def random_pictures(shape: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((1, *shape)).astype("float32")


def test_the_zoo_is_complete() -> None:
    assert set(TRAINABLE) <= set(zoo.names())


@pytest.mark.parametrize("name", zoo.names())
def test_states_the_figures_it_has(name: str) -> None:
    figures = figures_of(name)
    assert figures == zoo.get(name).figures
    if name in TRAINABLE:
        assert figures.trainable_parameters == TRAINABLE[name]
    if name in PUBLISHED_GMACS:
        assert figures.macs / 1e9 == pytest.approx(PUBLISHED_GMACS[name], rel=0.005)


@pytest.mark.parametrize("name", zoo.names())
def test_says_where_it_comes_from(name: str) -> None:
    entry = zoo.get(name)
    assert entry.year >= 1998
    assert re.search(r"arXiv:\d{4}\.\d{4,5}|NIPS|Proc\. IEEE|Géron", entry.paper)
    assert entry.builder.__doc__
    assert entry.input_shape == entry.preprocessing.shape[1:]


@pytest.mark.families
@pytest.mark.parametrize("name", zoo.names())
def test_saves_and_reloads_as_it_was(name: str, tmp_path: Path) -> None:
    shape = small(name)
    model = zoo.build(name, shape, 5)
    assert model.name == name
    assert len({layer.name for layer in model.layers}) == len(model.layers)
    x = random_pictures(shape)
    probabilities = np.asarray(model(x, training=False))
    assert probabilities.shape == (1, 5)
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    model.save(tmp_path / "m.keras")
    del model
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(np.asarray(again(x, training=False)), probabilities, atol=1e-6)


@pytest.mark.families
@pytest.mark.parametrize("name", zoo.names())
def test_builds_without_its_top_and_ends_in_logits(name: str) -> None:
    shape = small(name)
    with keras.StatelessScope(initialize_variables=False):
        body = zoo.build(name, shape, include_top=False)
        whole = zoo.build(name, shape, 7, classifier_activation=None)
    assert len(body.output.shape) == 4
    assert whole.output.shape == (None, 7)
    names = [layer.name for layer in whole.layers]
    # The same names in every build: weights are found by them.
    assert [layer.name for layer in body.layers] == names[: len(body.layers)]
    last = whole.layers[-1]
    ends = last.get_config().get("activation", "linear")
    assert ends == "linear"


@pytest.mark.families
@pytest.mark.parametrize("name", zoo.names())
def test_takes_the_smallest_input_it_says_in_grey_and_colour(name: str) -> None:
    entry = zoo.get(name)
    side, other_channels = entry.minimum_side, 4 - entry.input_shape[2]
    with keras.StatelessScope(initialize_variables=False):
        model = zoo.build(name, (side, side + 3, other_channels), 3)
    assert model.input.shape == (None, side, side + 3, other_channels)
    assert model.output.shape == (None, 3)
    with pytest.raises(EdgeCnnError, match=f"at least {side}×{side}"):
        zoo.build(name, (side - 1, side, entry.input_shape[2]))


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'resnet34'"):
        zoo.build("resnet_34")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_shape": (224, 224)}, "height, width, channels"),
        ({"input_shape": (224, 224, 4)}, "1 or 3 channels, not 224×224×4"),
        ({"classes": 0}, "at least one class"),
        ({"padding": "valid"}, "Unknown padding 'valid'"),
    ],
)
def test_what_cannot_be_built_is_said(options: dict[str, object], message: str) -> None:
    with pytest.raises(EdgeCnnError, match=message):
        zoo.build("resnet18", **options)  # type: ignore[arg-type]


def test_keras_networks_refuse_another_padding() -> None:
    with pytest.raises(EdgeCnnError, match="'symmetric' is not offered"):
        zoo.build("mobilenet_v2", padding="symmetric")


def test_googlenets_auxiliary_heads_are_there_to_train_only() -> None:
    from edgecnn.export.lowering import lower
    from edgecnn.zoo.families.googlenet import AUXILIARY_LOSS_WEIGHT

    model = zoo.build("googlenet", (80, 80, 3), 4, auxiliary_heads=True)
    assert model.output_names == ["predictions", "auxiliary4a", "auxiliary4d"]
    model.compile(
        "sgd",
        ["sparse_categorical_crossentropy"] * 3,
        loss_weights=[1, AUXILIARY_LOSS_WEIGHT, AUXILIARY_LOSS_WEIGHT],
    )
    labels = np.array([1])
    assert math.isfinite(
        model.train_on_batch(random_pictures((80, 80, 3)), [labels, labels, labels])[0]
    )
    assert not [op.name for op in lower(model, values=False) if "auxiliary" in op.name]
    with pytest.raises(EdgeCnnError, match="at least 80×80"):
        zoo.build("googlenet", (64, 64, 3), auxiliary_heads=True)
