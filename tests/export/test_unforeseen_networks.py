"""Networks of kinds that are rare, each held to what Keras says of it: float, without a file."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest
from keras import layers, ops

import edgecnn
from edgecnn.errors import EdgeCnnError, ExportError
from edgecnn.export.folding import fold
from edgecnn.export.heads import with_head
from edgecnn.export.network import Network, of_model
from edgecnn.export.statistics import GraphRun

SIDE = 16


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    small = np.random.default_rng(4).integers(0, 256, (9, 4, 4, 3), np.uint8)
    return np.stack([cv2.resize(image, (SIDE, SIDE)) for image in small])


def body(x: Any) -> Any:
    x = layers.Conv2D(8, 3, strides=2)(layers.Rescaling(1 / 50, offset=-2)(x))
    x = layers.LayerNormalization()(layers.BatchNormalization()(x))
    return layers.GlobalAveragePooling2D()(layers.ReLU()(x))


def net(middle: Any = body, shape: Any = (SIDE, SIDE, 3), dtype: Any = None) -> keras.Model:
    keras.utils.set_random_seed(2)
    image = keras.Input(shape, dtype=dtype)
    return keras.Model(image, layers.Dense(4, activation="softmax", name="last")(middle(image)))


def folded(network: Network, images: np.ndarray) -> np.ndarray:
    """What the graph that every file is written from says."""
    graph = fold(with_head(network.graph)[0], network.preprocessing)
    found = [answer.reshape(1, -1) for answer, _ in GraphRun(graph, ()).over(images)]
    return np.concatenate(found)


@pytest.mark.parametrize("policy", ["bfloat16", "float16", "float64", "mixed_bfloat16"])
def test_weights_of_any_precision(policy: str, images: np.ndarray) -> None:
    keras.config.set_dtype_policy(policy)
    try:
        model = net()
    finally:
        keras.config.set_dtype_policy("float32")
    kept = [layer.dtype_policy.name for layer in model.layers]
    twin = net()
    twin.set_weights([np.asarray(value, np.float32) for value in model.get_weights()])
    wanted = np.asarray(twin(images.astype(np.float32)))
    network = of_model(model, None, None)
    np.testing.assert_allclose(network.answers(images), wanted, atol=1e-6)
    np.testing.assert_allclose(folded(network, images), wanted, atol=1e-6)
    assert [layer.dtype_policy.name for layer in model.layers] == kept, "the user's is left alone"


def test_an_adapter_is_part_of_its_kernel(images: np.ndarray) -> None:
    model = net(
        lambda x: layers.GlobalAveragePooling2D()(
            layers.Conv2D(8, 3, name="conv")(layers.Rescaling(1 / 50)(x))
        )
    )
    plain = np.asarray(model(images.astype(np.float32)))
    rng = np.random.default_rng(0)
    for name in ("conv", "last"):
        layer = model.get_layer(name)
        layer.enable_lora(2)
        for part in (layer.lora_kernel_a, layer.lora_kernel_b):
            part.assign(rng.normal(size=part.shape))
    wanted = np.asarray(model(images.astype(np.float32)))
    assert np.abs(wanted - plain).max() > 0.05
    np.testing.assert_allclose(folded(of_model(model, None, None), images), wanted, atol=1e-5)


def test_channels_in_front_as_from_pytorch(images: np.ndarray) -> None:
    model = net(lambda x: body(layers.Permute((2, 3, 1))(x)), (3, SIDE, SIDE))
    wanted = np.asarray(model(images.transpose(0, 3, 1, 2).astype(np.float32)))
    network = of_model(model, None, None)
    assert network.preprocessing.shape == (1, SIDE, SIDE, 3)
    np.testing.assert_allclose(folded(network, images), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("arranged", "name"),
    [
        (lambda a, b, c: [a, [b, c]], "c"),
        (lambda a, b, c: {"one": a, "more": [b, c]}, "c"),
        (lambda a, b, c: OrderedDict(z=c, m=b, a=a), "z"),
        (lambda a, b, c: [a, b, c], 2),
    ],
    ids=["nested lists", "lists in a dictionary", "an order of its own", "by its place"],
)
def test_an_output_is_found_in_any_structure(arranged: Any, name: Any, images: np.ndarray) -> None:
    keras.utils.set_random_seed(2)
    image = keras.Input((SIDE, SIDE, 3))
    x = body(image)
    ends = [layers.Dense(4, activation="softmax", name=letter)(x) for letter in "abc"]
    wanted = np.asarray(keras.Model(image, ends[2])(images.astype(np.float32)))
    network = of_model(keras.Model(image, arranged(*ends)), None, None, output=name)
    np.testing.assert_allclose(network.answers(images), wanted, atol=1e-6)
    np.testing.assert_allclose(folded(network, images), wanted, atol=1e-5)


def rows(x: Any) -> Any:
    return layers.Reshape((7, 7 * 8))(layers.Conv2D(8, 3, strides=2)(layers.Rescaling(1 / 50)(x)))


def masked(x: Any) -> Any:
    return layers.GlobalAveragePooling1D()(layers.Dense(6)(layers.Masking(0.0)(rows(x))))


class Counting(layers.Layer):
    """Keeps something that changes at each call, as a generator of random numbers does."""

    def build(self, shape: Any) -> None:
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x: Any) -> Any:
        self.calls.assign_add(1.0)
        return x + self.calls


def by_the_largest(x: Any) -> Any:
    x = body(x)
    return 9 * x / ops.max(x)


def with_places(x: Any) -> Any:
    x = layers.Rescaling(1 / 50)(x)
    return body(ops.concatenate([x, ops.ones((1, SIDE, SIDE, 1))], axis=-1))


def decided() -> keras.Model:
    model = net()
    return keras.Model(model.inputs, ops.argmax(model.outputs[0], axis=-1))


REFUSED: dict[str, tuple[Callable[[], Any], str, dict[str, Any]]] = {
    "masked rows": (lambda: net(masked), r"\(GlobalAveragePooling1D\) leaves out what", {}),
    "counts": (lambda: net(lambda x: body(Counting()(x))), "each time it runs", {}),
    "reads the others": (lambda: net(by_the_largest), "for the same among others", {}),
    "one at a time": (lambda: net(with_places), r"batch_shape=\(1, height", {}),
    "a class's number": (decided, "ends in int32", {}),
    "step by step": (lambda: net(lambda x: layers.GRU(3)(rows(x))), "unroll=True", {}),
    "maps": (
        lambda: net(lambda x: layers.Conv2D(8, 3)(layers.Rescaling(1 / 50)(x))),
        "GlobalAveragePooling2D",
        {},
    ),
    "no such place": (net, "no output '3': it has last", {"output": 3}),
    "no model": (object, "takes a Keras model", {}),
    "a layer": (lambda: layers.Dense(3), "not a keras.*Dense", {}),
    "labels without order": (net, "not a set", {"labels": set("abcd")}),
    "labels with places": (
        net,
        r"sorted\(labels, key=labels.get\)",
        {"labels": {"d": 3, "a": 0, "b": 1, "c": 2}},
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_the_way_out(name: str, images: np.ndarray, tmp_path: Path) -> None:
    build, words, options = REFUSED[name]
    shots = tmp_path / "shots"
    shots.mkdir()
    for index, image in enumerate(np.concatenate([images, 255 - images, images[:, ::-1]])):
        cv2.imwrite(str(shots / f"{index}.png"), image)
    with pytest.raises(EdgeCnnError, match=words) as refused:
        edgecnn.export(build(), calibration=shots, out=tmp_path / "bundle", **options)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "bundle").exists()


def test_a_picture_of_many_channels_is_not_taken_for_one_in_front() -> None:
    with pytest.raises(ExportError, match="5 channels"):
        of_model(net(body, (SIDE, SIDE, 5)), None, None)
