"""What the last layer reads, as a second output: the same in every engine, and of use."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest
from keras import layers

import edgecnn
from edgecnn.bundle import MANIFEST, Bundle
from edgecnn.calibration.calibration_set import CalibrationSet
from edgecnn.checkpoint import Checkpoint
from edgecnn.errors import BundleError, EdgeCnnError, ExportError
from edgecnn.export.evaluate import evaluate
from edgecnn.export.request import Precision
from edgecnn.neighbours import MOST, Neighbours
from edgecnn.pictures import prepare, read_picture
from edgecnn.reliability import Reliability
from edgecnn.targets.answer import AnswerOptions
from edgecnn.targets.classifier import Classifier, load
from edgecnn.targets.engines import runtimes
from edgecnn.targets.engines.session import Session

RUNTIMES = ("litert", "onnxruntime", "openvino")


@pytest.fixture(scope="module")
def bundle(lenet5_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return edgecnn.export(lenet5_run, out=tmp_path_factory.mktemp("features") / "b", features=True)


def held_out(bundle: Bundle, run: Path) -> Any:
    pictures = CalibrationSet.load(Checkpoint.load(run).calibration).held_out
    return prepare(pictures[:40], bundle.preprocessing)


def opened(bundle: Bundle, runtime: str) -> Session:
    found = runtimes.get(runtime)
    return found.open(bundle.model_file(found.format), 1)


def given(session: Session, images: Any) -> Any:
    features = np.empty((len(images), session.features), np.float32)
    for row, image in zip(features, images, strict=True):
        session.infer(image[None], row)
    return features


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_they_are_what_the_last_layer_reads_in_keras(
    bundle: Bundle, lenet5_run: Path, runtime: str
) -> None:
    images = held_out(bundle, lenet5_run)
    model = Checkpoint.load(lenet5_run).load_model()
    before = keras.Model(model.input, model.get_layer("predictions").input)
    expected = np.asarray(before(bundle.preprocessing.normalise(images)))
    found = given(opened(bundle, runtime), images)
    assert found.shape == expected.shape
    # tanh gives -1 to 1, in 256 steps, from integers in four layers.
    assert np.abs(found - expected).mean() < 0.03
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.98


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_answers_are_the_same_with_and_without(
    bundle: Bundle, lenet5_bundle: Path, lenet5_run: Path, runtime: str
) -> None:
    with_them, without = opened(bundle, runtime), opened(Bundle.load(lenet5_bundle), runtime)
    assert without.features == 0
    for image in held_out(bundle, lenet5_run):
        np.testing.assert_allclose(
            with_them.infer(image[None]), without.infer(image[None]), atol=1e-6
        )


def conv_head() -> keras.Model:
    """As SqueezeNet ends: a convolution for each class, and their means."""
    x = image = layers.Input((24, 24, 3))
    x = layers.Conv2D(12, 3, activation="relu")(x)
    x = layers.Conv2D(3, 1, activation="relu")(x)
    return keras.Model(image, layers.Softmax()(layers.GlobalAveragePooling2D()(x)))


def flat_head() -> keras.Model:
    """As MobileNet ends: a convolution on a single pixel."""
    x = image = layers.Input((24, 24, 3))
    x = layers.Conv2D(12, 3, activation="relu6")(x)
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Reshape((3,))(layers.Conv2D(3, 1)(x))
    return keras.Model(image, layers.Softmax()(x))


def pictures(folder: Path, count: int = 24) -> None:
    rng = np.random.default_rng(0)
    for n in range(count):
        picture = cv2.resize(rng.integers(0, 256, (4, 4, 3), np.uint8), (24, 24))
        cv2.imwrite(str(folder / f"{n}.png"), picture)


@pytest.mark.parametrize("make", [conv_head, flat_head])
@pytest.mark.parametrize("precision", ["int8", "fp16", "fp32"])
def test_maps_are_pooled(
    make: Callable[[], keras.Model], precision: Precision, tmp_path: Path
) -> None:
    keras.utils.set_random_seed(0)
    model = make()
    pictures(tmp_path)
    found = edgecnn.export(
        model,
        precision=precision,
        calibration=tmp_path,
        out=tmp_path / "b",
        labels=("a", "b", "c"),
        preprocessing="0..1",
        features=True,
    )
    images = prepare(CalibrationSet.load(tmp_path).pictures[:6], found.preprocessing)
    maps = keras.Model(model.input, model.layers[1].output)(images.astype(np.float32) / 255)
    expected = np.asarray(maps).mean(axis=(1, 2))
    for runtime in RUNTIMES:
        features = given(opened(found, runtime), images)
        error = np.abs(features - expected).max() / expected.max()
        assert error < {"int8": 0.03, "fp16": 3e-3, "fp32": 1e-5}[precision], runtime


def test_a_network_that_does_not_end_in_one_layer_has_none(tmp_path: Path) -> None:
    image = layers.Input((16, 16, 3))
    ends = [
        layers.Dense(3, activation="softmax")(
            layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
        )
        for _ in range(2)
    ]
    model = keras.Model(image, layers.Average()(ends))
    pictures(tmp_path)
    with pytest.raises(ExportError, match="without --features"):
        edgecnn.export(
            model,
            calibration=tmp_path,
            out=tmp_path / "b",
            labels=("a", "b", "c"),
            preprocessing="0..1",
            features=True,
        )
    assert not (tmp_path / "b").exists()


def test_the_nearest_are_counted_by_their_angle() -> None:
    known = Neighbours.of(np.array([[1, 0], [0, 2], [3, 3], [0, 1]], np.float32))
    found = [known.nearness(one) for one in np.array([[0, 5], [1, 0], [0, 0]], np.float32)]
    np.testing.assert_allclose(found, [0.5**0.5, 0, 0], atol=1e-3)
    assert len(Neighbours.chosen(range(1000))) <= MOST
    assert Neighbours.chosen(range(MOST)) == range(MOST)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_strangers_are_told_apart_and_its_own_are_kept(bundle: Bundle, runtime: str) -> None:
    from sklearn.datasets import load_digits

    own = [(image * 15.9).astype(np.uint8) for image in load_digits().images[:120]]
    rng = np.random.default_rng(0)
    others = [rng.integers(0, 256, (8, 8), np.uint8) for _ in range(60)]
    classifier = load(bundle.path, runtime, 1, answers=AnswerOptions(reject=0.05))
    known = Reliability.load(bundle, classifier.format)
    assert known is not None
    assert known.neighbours is not None
    kept = np.mean([not classifier(frame).unknown for frame in own])
    rejected = np.mean([classifier(frame).unknown for frame in others])
    assert kept > 0.88
    assert rejected > 0.4


def test_evaluate_takes_them(bundle: Bundle) -> None:
    found = evaluate(bundle.path, "digits", reference=False)
    assert {result.accuracy.top1 > 0.9 for result in found.results.values()} == {True}


def edited(bundle: Bundle, folder: Path, features: Any) -> Path:
    copy = shutil.copytree(bundle.path, folder / "copy")
    manifest = json.loads((copy / MANIFEST).read_text())
    manifest["features"] = features
    (copy / MANIFEST).write_text(json.dumps(manifest))
    return copy


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("features", [0, 83, 85])
def test_a_second_output_that_the_manifest_does_not_name_is_refused(
    bundle: Bundle, tmp_path: Path, runtime: str, features: int
) -> None:
    copy = edited(bundle, tmp_path, features)
    with pytest.raises(BundleError, match=r"84 features.*export again"):
        load(copy, runtime, 1)
    with pytest.raises(BundleError, match="84 features"):
        Classifier(Bundle.load(copy), runtime, opened(bundle, runtime))


def test_features_that_the_model_lacks_are_missed(lenet5_bundle: Path, tmp_path: Path) -> None:
    copy = edited(Bundle.load(lenet5_bundle), tmp_path, 84)
    with pytest.raises(BundleError, match=r"10 values, its manifest says.*84 features"):
        load(copy, "litert", 1)


@pytest.mark.parametrize("features", [-1, True, "84", None, 8.5, [84]])
def test_a_manifest_whose_features_are_no_number(
    bundle: Bundle, tmp_path: Path, features: Any
) -> None:
    with pytest.raises(BundleError, match="incomplete"):
        Bundle.load(edited(bundle, tmp_path, features))


def test_neighbours_of_another_network_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    from edgecnn.bundle import describe_file

    copy = edited(bundle, tmp_path, 84)
    arrays = dict(np.load(copy / "answers.npz"))
    arrays["tflite_neighbours"] = arrays["tflite_neighbours"][:, :10]
    np.savez_compressed(copy / "answers.npz", **arrays)
    manifest = json.loads((copy / MANIFEST).read_text())
    manifest["answers"] = vars(describe_file(copy, "answers.npz"))
    (copy / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(EdgeCnnError, match="cannot be read"):
        load(copy, "litert", 1)


@pytest.mark.parametrize("outputs", [1, 3])
def test_yes_or_no_can_be_unknown_and_any_number_of_labels_not(
    outputs: int, tmp_path: Path
) -> None:
    keras.utils.set_random_seed(0)
    x = image = layers.Input((24, 24, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(12, 3, activation="relu")(x))
    model = keras.Model(image, layers.Dense(outputs, activation="sigmoid")(x))
    pictures(tmp_path, 120)
    found = edgecnn.export(
        model,
        formats="onnx",
        precision="fp32",
        calibration=tmp_path,
        out=tmp_path / "b",
        labels=("a", "b", "c")[:outputs],
        preprocessing="0..1",
        features=True,
    )
    asked = AnswerOptions(reject=0.1)
    if outputs == 3:
        with pytest.raises(EdgeCnnError, match="any number of them"):
            load(found.path, "onnxruntime", 1, answers=asked)
        assert load(found.path, "onnxruntime", 1)(np.zeros((24, 24, 3), np.uint8)).familiarity
        return
    classifier = load(found.path, "onnxruntime", 1, answers=asked)
    assert not classifier(read_picture(tmp_path / "3.png")).unknown
    red = np.zeros((24, 24, 3), np.uint8)
    red[..., 2] = 255
    assert classifier(red).answer == "unknown"
