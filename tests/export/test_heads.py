"""What a network's last values are taken for, and that nothing is added to probabilities."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from edgecnn.errors import ExportError
from edgecnn.export.bounds import bounds
from edgecnn.export.folding import fold
from edgecnn.export.formats.onnx import write as write_onnx
from edgecnn.export.formats.tflite import write as write_tflite
from edgecnn.export.heads import with_head
from edgecnn.export.lowering import lower
from edgecnn.export.network import of_model
from edgecnn.export.quantise import quantise
from edgecnn.export.statistics import GraphRun, observe
from edgecnn.preprocessing import Preprocessing
from edgecnn.targets.engines import runtimes

SIDE = 12


def network(head: Callable[[Any], Any]) -> keras.Model:
    """Its last layer with weights sees features that differ from picture to picture."""
    keras.utils.set_random_seed(3)
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(6, 3, activation="relu")(layers.Rescaling(1 / 64, offset=-2)(image))
    return keras.Model(image, head(x))


def units(x: Any, count: int, activation: str | None = None) -> Any:
    x = layers.GlobalAveragePooling2D()(x)
    return layers.Dense(
        count, activation, kernel_initializer=keras.initializers.RandomNormal(0, 9)
    )(x)


def odds(x: Any) -> Any:
    e = ops.exp(x)
    return e / (e + 1)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    grounds = np.random.default_rng(0).integers(0, 256, (24, 1, 1, 3))
    noise = np.random.default_rng(1).normal(0, 20, (24, SIDE, SIDE, 3))
    return np.clip(grounds + noise, 0, 255).astype(np.uint8)


PROBABILITIES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a sigmoid spelled out": (lambda x: 1 / (1 + ops.exp(-units(x, 1))), "binary"),
    "a sigmoid by tanh": (lambda x: 0.5 * (ops.tanh(units(x, 1)) + 1), "binary"),
    "clipped": (lambda x: ops.clip(units(x, 1), 0, 1), "binary"),
    "odds, clipped": (lambda x: ops.clip(odds(units(x, 1)), 0, 1), "binary"),
    "decided already": (lambda x: ops.round(units(x, 1, "sigmoid")), "binary"),
    "a map's mean": (
        lambda x: layers.GlobalAveragePooling2D()(layers.Conv2D(1, 1, activation="sigmoid")(x)),
        "binary",
    ),
    "any of the places": (
        lambda x: 1 - ops.prod(1 - units(x, 3, "sigmoid"), axis=1, keepdims=True),
        "binary",
    ),
    "several, spelled out": (lambda x: 1 / (1 + ops.exp(-units(x, 4))), "sigmoid"),
    "a softmax without its background": (lambda x: units(x, 5, "softmax")[:, 1:], "sigmoid"),
    "a softmax spelled out": (
        lambda x: (lambda e: e / ops.sum(e, axis=-1, keepdims=True))(ops.exp(units(x, 3) / 9)),
        "softmax",
    ),
}


@pytest.mark.parametrize("name", PROBABILITIES)
def test_probabilities_are_left_as_they_are(name: str, images: np.ndarray) -> None:
    head, kind = PROBABILITIES[name]
    model = network(head)
    expected = of_model(model, "raw", None).answers(images)
    assert expected.std(axis=0).max() > 0.01
    graph, found, note = with_head(lower(model), None, expected)
    assert (found.kind, note) == (kind, None)
    run = GraphRun(fold(graph, Preprocessing.named("raw", SIDE, SIDE, 3)), ())
    answers = np.concatenate([answer.reshape(1, -1) for answer, _ in run.over(images)])
    np.testing.assert_allclose(answers, expected, atol=1e-5)


DOUBTFUL: dict[str, tuple[Callable[[Any], Any], str]] = {
    "odds": (lambda x: odds(units(x, 1)), r"keras\.ops\.clip\(x, 0, 1\)"),
    "odds of several": (lambda x: odds(units(x, 3)), r"layers do not show.*clip\(x, 0, 1\)"),
    "a sum of two softmaxes": (
        lambda x: units(x, 3, "softmax") + units(x, 3, "softmax"),
        "from 0 to 2",
    ),
    "a single ReLU": (lambda x: units(x, 1, "relu"), "from 0 to inf"),
    "tanh": (lambda x: units(x, 2, "tanh"), "from -1 to 1"),
}


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_may_be_either_is_asked_for(name: str, images: np.ndarray) -> None:
    head, words = DOUBTFUL[name]
    model = network(head)
    expected = of_model(model, "raw", None).answers(images)
    with pytest.raises(ExportError, match=words):
        with_head(lower(model), None, expected)
    graph, found, _ = with_head(lower(model), "sigmoid", expected)
    assert graph[graph.output].attributes["kind"] == "sigmoid"
    assert found.kind in ("binary", "sigmoid")


def test_logits_with_a_ceiling_are_logits() -> None:
    model = network(lambda x: 30 * ops.tanh(units(x, 3) / 30))
    graph, found, note = with_head(lower(model))
    assert found.kind == "softmax"
    assert note is not None
    assert bounds(graph, graph[graph.output].inputs[0]) == (-30, 30)


@pytest.mark.parametrize("kind", ["relu", "relu6"])
def test_a_clamp_on_the_logits_is_kept_in_int8(
    kind: str, images: np.ndarray, tmp_path: Path
) -> None:
    """The last dense layer's result is never rounded in ONNX: no integer's range clamps it."""
    model = network(lambda x: layers.Softmax()(units(x, 4, kind)))
    raw = Preprocessing.named("raw", SIDE, SIDE, 3)
    expected = of_model(model, "raw", None).answers(images)
    clamped = keras.Model(model.inputs, model.layers[-2].output)(images.astype(np.float32)).numpy()
    assert 0.1 < (clamped == 0).mean() < 0.9
    graph = fold(with_head(lower(model))[0], raw)
    quantised = quantise(graph, observe(graph, images).ranges)
    for runtime, file, write in (
        ("onnxruntime", "model.onnx", write_onnx),
        ("litert", "model.tflite", write_tflite),
    ):
        write(graph, quantised, tmp_path)
        session = runtimes.get(runtime).open(tmp_path / file, threads=1)
        found = np.stack([session.infer(image[None]) for image in images])
        assert np.abs(found - expected).mean() < 0.02, runtime
