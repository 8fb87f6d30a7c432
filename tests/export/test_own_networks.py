"""A user's own Keras network: exported, and held to what Keras itself returns for raw pixels.

The judge opens every file with its engine's own API; nothing of edgecnn stands between.
"""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import openvino
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers, ops

import edgecnn
from edgecnn.errors import EdgeCnnError, ExportError
from edgecnn.export.request import Precision
from edgecnn.preprocessing import Preprocessing

SIDE = 32
RAW = Preprocessing(SIDE, SIDE, std=(1.0,))
Engine = Callable[[np.ndarray], np.ndarray]


def pictures(count: int, seed: int) -> np.ndarray:
    """A circle on a coloured ground, uint8 (count, 32, 32, 3), and whether it is red."""
    rng = np.random.default_rng(seed)
    found = np.empty((count, SIDE, SIDE, 3), np.uint8)
    for image in found:
        image[...] = rng.integers(0, 160, 3)
        centre, radius = rng.integers(8, 24, 2).tolist(), int(rng.integers(4, 9))
        cv2.circle(image, centre, radius, rng.integers(0, 256, 3).tolist(), -1)
        image[...] = np.clip(image + rng.normal(0, 5, image.shape), 0, 255)
    return found


def engines(bundle: Path) -> dict[str, Engine]:
    import onnxruntime

    interpreter = Interpreter(str(bundle / "model.tflite"), num_threads=1)
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()

    def litert(image: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(taken["index"], image)
        interpreter.invoke()
        return np.array(interpreter.get_tensor(given["index"]))

    session = onnxruntime.InferenceSession(bundle / "model.onnx")
    name = session.get_inputs()[0].name
    compiled = openvino.Core().compile_model(
        bundle / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    return {
        "tflite": litert,
        "onnx": lambda image: session.run(None, {name: image})[0],
        "openvino": lambda image: np.array(compiled(image)[0]),
    }


def answers(run: Engine, images: np.ndarray) -> np.ndarray:
    return np.concatenate([run(image[None]).reshape(1, -1) for image in images])


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shots")
    for index, image in enumerate(pictures(60, 1)):
        cv2.imwrite(str(folder / f"{index}.png"), image[..., ::-1])
    return folder


def body(x: Any) -> Any:
    x = layers.Conv2D(12, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2D(24, 3, strides=2, activation="relu")(x)
    return layers.GlobalAveragePooling2D()(x)


def trained(head: Any, targets: Callable[[np.ndarray], np.ndarray]) -> keras.Model:
    keras.utils.set_random_seed(3)
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(layers.RandomFlip()(image))
    model = keras.Model(image, head(body(x)), name="own")
    images = pictures(400, 5)
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    model.fit(images.astype(np.float32), targets(images), epochs=8, verbose=0)
    return model


def brightness(images: np.ndarray) -> np.ndarray:
    return (images.mean(axis=(1, 2)) > 90).astype(np.float32)


@pytest.mark.parametrize(
    ("head", "units", "labels", "kind"),
    [
        (lambda x: layers.Dense(1, activation="sigmoid")(x), 1, ["dark", "red"], "binary"),
        (lambda x: layers.Activation("sigmoid")(layers.Dense(3)(x)), 3, ["r", "g", "b"], "sigmoid"),
    ],
    ids=["one unit", "several labels"],
)
def test_a_trained_sigmoid_decides_as_keras_does(
    head: Any, units: int, labels: list[str], kind: str, shots: Path, tmp_path: Path
) -> None:
    model = trained(head, lambda images: brightness(images)[:, :units])
    file = tmp_path / "own.keras"
    model.save(file)
    bundle = edgecnn.export(file, calibration=shots, labels=labels, out=tmp_path / "bundle")
    assert bundle.head.kind == kind
    assert bundle.manifest["head"] == kind
    # Whoever gets the file alone finds a label for each value in it.
    with zipfile.ZipFile(bundle.path / "model.tflite") as archive:
        assert archive.read("labels.txt").decode().split() == labels[-units:]
    images = pictures(200, 9)
    wanted = np.asarray(model(images.astype(np.float32), training=False))
    assert 0.1 < (wanted > 0.5).mean() < 0.9, "the network must have learned something"
    for name, run in engines(bundle.path).items():
        found = answers(run, images)
        assert found.shape == wanted.shape
        assert np.abs(found - wanted).mean() < 0.02, name
        same = ((found >= 0.5) == (wanted >= 0.5)).all(axis=1).mean()
        assert same >= 0.99, name
    # And what a robot hears is that decision.
    classify = edgecnn.load(bundle.path, runtime="onnx")
    for image, probabilities in zip(images[:50], wanted, strict=False):
        prediction = classify(image[..., ::-1])
        if abs(probabilities - 0.5).min() < 0.05:
            continue
        if kind == "binary":
            assert prediction.label == labels[int(probabilities[0] >= 0.5)]
        else:
            held = {label for label, p in zip(labels, probabilities, strict=True) if p >= 0.5}
            assert set(prediction.labels or ()) == held


def net(
    first: Any = None, middle: Any = None, head: Any = None, size: Any = (SIDE, SIDE, 3)
) -> Any:
    keras.utils.set_random_seed(1)
    image = keras.Input(size)
    x = layers.Rescaling(1 / 255)(image) if first is None else first(image)
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = x if middle is None else middle(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(3, activation="softmax")(x) if head is None else head(x))


def lively(model: keras.Model, images: np.ndarray) -> keras.Model:
    """Random weights whose answers differ from picture to picture."""
    last = [layer for layer in model.layers if isinstance(layer, layers.Dense)][-1]
    kernel, bias = last.get_weights()
    logits = keras.Model(model.inputs[0], last.input)(images.astype(np.float32)).numpy() @ kernel
    gain = 2 / logits.std(axis=0).mean()
    last.set_weights([kernel * gain, bias - logits.mean(axis=0) * gain])
    return model


@keras.saving.register_keras_serializable("edgecnn_tests")
class Gate(keras.layers.Layer):
    """A layer as people write them, with weights and Keras's operations."""

    def build(self, shape: Any) -> None:
        self.slope = self.add_weight(shape=(shape[-1],), initializer="random_normal", name="slope")

    def call(self, x: Any) -> Any:
        mean = ops.mean(x, axis=(1, 2), keepdims=True)
        gate = ops.sigmoid((x - mean) / (ops.std(x, axis=(1, 2), keepdims=True) + 1e-3))
        return ops.where(x > 0, x * gate, self.slope * x) + ops.flip(x, axis=2)


FRONTS = {
    "divided": lambda x: x / 255.0,
    "to -1..1 in front of padding": keras.applications.mobilenet_v2.preprocess_input,
    "caffe": keras.applications.resnet50.preprocess_input,
    "one minus": lambda x: 1.0 - layers.Rescaling(1 / 255)(x),
    "array": lambda x: x * np.array([1 / 255, 1 / 200, 1 / 230], np.float32),
    "rows normalised": lambda x: layers.Rescaling(1 / 255)(layers.UnitNormalization(axis=2)(x)),
    "resized smoothly": lambda x: layers.Rescaling(1 / 255)(
        layers.Resizing(20, 24, interpolation="bicubic", antialias=True)(x)
    ),
    "resized and cropped": lambda x: layers.CenterCrop(16, 16)(
        layers.Rescaling(1 / 255)(layers.Resizing(20, 20)(x))
    ),
}


@pytest.mark.parametrize("name", FRONTS)
def test_what_a_network_does_with_raw_pixels_is_in_the_file(
    name: str, shots: Path, tmp_path: Path
) -> None:
    images = pictures(8, 2)
    model = lively(net(FRONTS[name]), images)
    options: dict[str, Any] = {} if name != "rows normalised" else {"preprocessing": "raw"}
    bundle = edgecnn.export(model, precision="fp32", calibration=shots, out=tmp_path, **options)
    assert bundle.preprocessing == RAW
    wanted = np.asarray(model(images.astype(np.float32)))
    for engine, run in engines(tmp_path).items():
        np.testing.assert_allclose(answers(run, images), wanted, atol=1e-4, err_msg=engine)


def test_a_layer_of_ones_own_is_opened(shots: Path, tmp_path: Path) -> None:
    images = pictures(12, 2)
    model = lively(net(middle=lambda x: Gate()(layers.GroupNormalization(4)(x))), images)
    wanted = np.asarray(model(images.astype(np.float32)))
    precision: Precision
    for precision, tolerance in (("fp32", 1e-4), ("int8", 0.2)):
        out = tmp_path / precision
        edgecnn.export(model, precision=precision, calibration=shots, out=out)
        for engine, run in engines(out).items():
            found = answers(run, images)
            np.testing.assert_allclose(found, wanted, atol=tolerance, err_msg=engine)


def test_a_network_trained_in_half_precision_is_its_float32_twin(
    shots: Path, tmp_path: Path
) -> None:
    images = pictures(8, 2)
    twin = lively(net(middle=layers.LayerNormalization()), images)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = net(middle=layers.LayerNormalization())
    finally:
        keras.config.set_dtype_policy("float32")
    model.set_weights(twin.get_weights())
    edgecnn.export(model, precision="fp32", calibration=shots, out=tmp_path)
    assert model.layers[-1].compute_dtype == "float16", "the user's model is left as it was"
    wanted = np.asarray(twin(images.astype(np.float32)))
    for engine, run in engines(tmp_path).items():
        np.testing.assert_allclose(answers(run, images), wanted, atol=1e-4, err_msg=engine)


def two_outputs() -> keras.Model:
    image = keras.Input((SIDE, SIDE, 3))
    x = body(layers.Rescaling(1 / 255)(image))
    shape = layers.Dense(4, activation="softmax", name="shape")(x)
    colour = layers.Dense(3, activation="softmax", name="colour")(x)
    return keras.Model(image, {"shape": shape, "colour": colour})


def weighted(x: Any) -> Any:
    first, second = (layers.Dense(3, activation="softmax")(x) for _ in "ab")
    return first * 0.7 + second * 0.3


COMPOSED: dict[str, dict[str, Any]] = {
    "a weighted mean of two heads": {"head": weighted},
    "a grey picture without channels": {
        "size": (SIDE, SIDE),
        "first": lambda x: layers.Reshape((SIDE, SIDE, 1))(layers.Rescaling(1 / 255)(x)),
    },
    "augmented by colour": {
        "first": lambda x: layers.Rescaling(1 / 255)(
            layers.RandomSharpness(0.1, (0, 255))(
                layers.RandomHue(0.1, (0, 255))(layers.RandomSaturation(0.1, (0, 255))(x))
            )
        )
    },
}


@pytest.mark.parametrize("name", COMPOSED)
def test_networks_as_people_compose_them(name: str, shots: Path, tmp_path: Path) -> None:
    images = pictures(24, 2)
    model = lively(net(**COMPOSED[name]), images if "grey" not in name else images[..., 0])
    given = images[..., :1] if "grey" in name else images
    wanted = np.asarray(
        model((given[..., 0] if "grey" in name else given).astype(np.float32), training=False)
    )
    precision: Precision
    for precision, bound in (("fp32", 1e-4), ("int8", 0.05)):
        out = tmp_path / precision
        edgecnn.export(model, precision=precision, calibration=shots, out=out, labels=list("abc"))
        for engine, run in engines(out).items():
            error = np.abs(answers(run, given) - wanted)
            assert (error.max() if precision == "fp32" else error.mean()) < bound, engine


def test_one_of_several_outputs(shots: Path, tmp_path: Path) -> None:
    model = two_outputs()
    with pytest.raises(ExportError, match=r"--output \(colour, shape\)"):
        edgecnn.export(model, calibration=shots, out=tmp_path)
    edgecnn.export(model, precision="fp32", calibration=shots, out=tmp_path, output="shape")
    images = pictures(4, 2)
    wanted = np.asarray(model(images.astype(np.float32))["shape"])
    for engine, run in engines(tmp_path).items():
        np.testing.assert_allclose(answers(run, images), wanted, atol=1e-4, err_msg=engine)


@pytest.mark.parametrize(
    ("head", "asked", "kind"),
    [
        (lambda x: layers.Dense(3)(x), None, "softmax"),
        (lambda x: layers.Dense(3)(x), "sigmoid", "sigmoid"),
        (lambda x: layers.Dense(1)(x) - 1.0, None, "binary"),
        (
            lambda x: layers.Average()([layers.Dense(3, activation="softmax")(x) for _ in "ab"]),
            None,
            "softmax",
        ),
    ],
    ids=["logits", "logits of labels", "one logit", "an average of two softmaxes"],
)
def test_plain_numbers_become_probabilities_and_that_is_said(
    head: Any, asked: Any, kind: str, shots: Path, tmp_path: Path
) -> None:
    from edgecnn.export.progress import ExportProgress

    said: list[str] = []

    class Listening(ExportProgress):
        def note(self, text: str) -> None:
            said.append(text)

    model = net(head=head)
    bundle = edgecnn.export(
        model, precision="fp32", calibration=shots, out=tmp_path, head=asked, progress=Listening()
    )
    images = pictures(4, 2)
    wanted = np.asarray(model(images.astype(np.float32)))
    added = bundle.manifest.get("head_added")
    assert bundle.head.kind == kind
    assert any("taken as logits" in note for note in said) == (added is not None and asked is None)
    if added == "softmax":
        wanted = np.asarray(ops.softmax(wanted))
    elif added == "sigmoid":
        wanted = np.asarray(ops.sigmoid(wanted))
    for engine, run in engines(tmp_path).items():
        np.testing.assert_allclose(answers(run, images), wanted, atol=1e-4, err_msg=engine)


def subclassed() -> keras.Model:
    class Sub(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.last = layers.Dense(3, activation="softmax")

        def call(self, x: Any) -> Any:
            return self.last(ops.mean(x, axis=(1, 2)))

    model = Sub()
    model(np.zeros((1, SIDE, SIDE, 3), np.float32))
    return model


def overflowing() -> keras.Model:
    model = net()
    model.layers[2].set_weights([w + 1e5 for w in model.layers[2].get_weights()])
    return model


def broken() -> keras.Model:
    model = net()
    model.layers[-1].set_weights([w * np.nan for w in model.layers[-1].get_weights()])
    return model


REFUSED: dict[str, tuple[Callable[[], Any], str, dict[str, Any]]] = {
    "scales nothing": (lambda: net(lambda x: x), r"--preprocessing raw\|0\.\.1", {}),
    "any size": (lambda: net(size=(None, None, 3)), "--input 224x224", {}),
    "subclassed": (subclassed, "make it functional", {}),
    "Lambda": (lambda: net(middle=layers.Lambda(lambda x: 2 * x)), "Lambda", {}),
    "channels of a satellite": (lambda: net(size=(SIDE, SIDE, 5)), "5 channels", {}),
    "labels": (net, r"has 2 labels and gives 3 value\(s\)", {"labels": ["a", "b"]}),
    "softmax over one unit": (
        lambda: net(head=lambda x: layers.Dense(1, activation="softmax")(x)),
        "softmax over a single value",
        {},
    ),
    "a softmax read as labels": (net, "cannot be read as a sigmoid", {"head": "sigmoid"}),
    "no such head": (net, "Unknown head 'softmx': did you mean 'softmax'", {"head": "softmx"}),
    "no such output": (two_outputs, "no output 'size'", {"output": "size"}),
    "weights of NaN": (broken, "itself gives", {}),
    "tanh": (
        lambda: net(head=lambda x: layers.Dense(1, activation="tanh")(x)),
        "values from -1 to 1",
        {},
    ),
    "runs step by step": (
        lambda: net(
            head=lambda x: layers.Dense(3, activation="softmax")(
                layers.LSTM(4)(layers.Reshape((4, 2))(x))
            )
        ),
        r"no rule for \w+, which lstm\w* \(LSTM\) computes with",
        {},
    ),
    "pictures in a list": (net, "a folder of pictures, not a list", {"calibration": ["a.png"]}),
    "sorts its channels": (
        lambda: net(middle=lambda x: ops.sort(x, axis=-1)),
        r"no rule for \w+, which sort\w* \(Sort\) computes with",
        {},
    ),
    "never called": (
        lambda: keras.Sequential([layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3)]),
        "was never called",
        {},
    ),
    "half precision overflows": (overflowing, "overflows|--fp32", {"precision": "fp16"}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_exported_is_said_in_one_line(
    name: str, shots: Path, tmp_path: Path
) -> None:
    build, words, options = REFUSED[name]
    with pytest.raises(EdgeCnnError, match=words) as refused:
        edgecnn.export(build(), **{"calibration": shots, "out": tmp_path / "bundle"} | options)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "bundle").exists()


def test_evaluate_finds_the_network_or_is_told_where_it_is(
    shots: Path, tmp_path: Path, edgecnn_cli: Any
) -> None:
    model = trained(
        lambda x: layers.Dense(1, activation="sigmoid")(x), lambda x: brightness(x)[:, :1]
    )
    file, out = tmp_path / "own.keras", tmp_path / "exports" / "own"
    model.save(file)
    (tmp_path / "labels.txt").write_text("dark\nred\n")
    done = edgecnn_cli(
        *("export", file, "--labels", tmp_path / "labels.txt", "--calibration", shots),
        *("--out", out, "--no-verdict", "--json"),
    )
    assert done.returncode == 0, done.stderr
    labelled = tmp_path / "labelled"
    for index, image in enumerate(pictures(40, 8)):
        folder = labelled / ("red" if image[..., 0].mean() > 90 else "dark")
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{index}.png"), image[..., ::-1])

    def evaluated(*options: Any) -> tuple[dict[str, Any], str]:
        done = edgecnn_cli("evaluate", out, "--data", labelled, "--json", *options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    found, _ = evaluated()
    assert found["reference"]["top1"] > 0.8
    assert all(artifact["agreement_top1"] >= 0.95 for artifact in found["artifacts"].values())
    file.rename(tmp_path / "moved.keras")
    found, said = evaluated()
    assert found["reference"] is None
    assert "own.keras is not here: name the file" in said
    found, said = evaluated("--reference", tmp_path / "moved.keras")
    assert found["reference"]["top1"] > 0.8
    assert "not the very file" not in said


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "own.keras").write_bytes(b"half a download")
    with pytest.raises(ExportError, match=r"own\.keras is damaged"):
        edgecnn.export(tmp_path / "own.keras")


def test_an_old_file_with_what_keras_3_has_not_is_explained(tmp_path: Path) -> None:
    """Keras 2 wrote `groups` into every DepthwiseConv2D."""
    import h5py

    image = keras.Input((SIDE, SIDE, 3))
    x = layers.GlobalAveragePooling2D()(layers.DepthwiseConv2D(3)(image))
    file = tmp_path / "old.h5"
    keras.Model(image, layers.Dense(3, activation="softmax")(x)).save(file)
    with h5py.File(file, "r+") as stream:
        config = json.loads(stream.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "DepthwiseConv2D":
                layer["config"]["groups"] = 1
        stream.attrs["model_config"] = json.dumps(config)
    with pytest.raises(ExportError, match=r"older Keras, whose DepthwiseConv2D has .*groups"):
        edgecnn.export(file, preprocessing="0..1", out=tmp_path / "bundle")


def test_the_page_of_layers_is_that_of_the_code() -> None:
    from edgecnn.export.supported import page

    written = Path(__file__).parents[2] / "docs" / "layers.md"
    assert written.read_text(encoding="utf-8") == page(), "python -m edgecnn.export.supported"
