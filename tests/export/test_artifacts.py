"""The finished int8 files of a really pretrained network, in their own engines."""

import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import openvino as ov
import pytest
from ai_edge_litert.interpreter import Interpreter

from edgecnn.bundle import Bundle
from edgecnn.export import network as networks
from edgecnn.export.network import answers as reference
from edgecnn.export.request import Precision
from edgecnn.pictures import labelled_pictures, prepare
from edgecnn.targets.classifier import load
from edgecnn.targets.engines import runtimes

RUNTIMES = ("litert", "onnxruntime", "openvino")
CROPS = (None, (0.1, 0.1, 0.8), (0.2, 0.2, 0.6))


@pytest.fixture(scope="module")
def photographs(samples: Path, lite0_bundle: Path) -> np.ndarray:
    pictures = labelled_pictures(samples / "photographs")
    return prepare(pictures, Bundle.load(lite0_bundle).preprocessing)


@pytest.fixture(scope="module")
def answers(lite0_bundle: Path, photographs: np.ndarray) -> dict[str, np.ndarray]:
    found = {}
    for runtime in RUNTIMES:
        classifier = load(lite0_bundle, runtime=runtime, threads=1)
        found[runtime] = np.stack([classifier.infer(image[None]) for image in photographs])
    return found


def test_where_keras_is_confident_every_runtime_says_the_same(
    photographs: np.ndarray, answers: dict[str, np.ndarray]
) -> None:
    network = networks.find("efficientnet_lite0", "imagenet")
    expected = reference(network.model, network.preprocessing, photographs)
    confident = expected.max(axis=1) >= 0.9
    assert confident.sum() >= 2
    for runtime, found in answers.items():
        error = np.abs(found[confident] - expected[confident]).max()
        assert error <= 2 / 255 + 0.02, (runtime, error)
        assert (found[confident].argmax(1) == expected[confident].argmax(1)).all(), runtime


def test_every_format_answers_as_float_on_real_photographs(
    samples: Path, lite0_bundle: Path
) -> None:
    """The labelled photographs, whole and in two crops: at least 95% as Keras, each format."""
    whole = labelled_pictures(samples / "photographs")
    crops = [replace(picture, part=part) for picture in whole for part in CROPS]
    images = prepare(crops, Bundle.load(lite0_bundle).preprocessing)
    network = networks.find("efficientnet_lite0", "imagenet")
    expected = reference(network.model, network.preprocessing, images).argmax(1)
    for runtime in RUNTIMES:
        classifier = load(lite0_bundle, runtime=runtime, threads=2)
        found = np.array([classifier.infer(image[None]).argmax() for image in images])
        assert (found == expected).mean() >= 0.95, runtime


def test_the_runtimes_agree_with_each_other(answers: dict[str, np.ndarray]) -> None:
    first = answers["litert"]
    for runtime in RUNTIMES[1:]:
        assert np.abs(answers[runtime] - first).max() < 0.1
        assert (answers[runtime].argmax(1) == first.argmax(1)).mean() >= 0.95


def test_answers_do_not_depend_on_the_number_of_threads(
    lite0_bundle: Path, photographs: np.ndarray, answers: dict[str, np.ndarray]
) -> None:
    for runtime in RUNTIMES:
        classifier = load(lite0_bundle, runtime=runtime, threads=2)
        found = classifier.infer(photographs[:1])
        np.testing.assert_allclose(found, answers[runtime][0], atol=1e-5, err_msg=runtime)


def test_every_format_takes_raw_pixels_at_the_same_scale(lite0_bundle: Path) -> None:
    """real = (pixel - 127) / 128, written where each format keeps it."""
    tflite = Interpreter(model_path=str(lite0_bundle / "model.tflite"))
    (detail,) = tflite.get_input_details()
    assert detail["dtype"] is np.uint8
    assert detail["shape"].tolist() == [1, 224, 224, 3]
    assert detail["quantization"] == (1 / 128, 127)

    graph = onnx.load(lite0_bundle / "model.onnx").graph
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [node.op_type for node in graph.node[:2]] == ["Transpose", "DequantizeLinear"]
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    assert constants[graph.node[1].input[1]] == np.float32(1 / 128)
    assert constants[graph.node[1].input[2]] == 127

    model = ov.Core().read_model(lite0_bundle / "model.xml")
    assert model.input(0).element_type == ov.Type.u8
    assert list(model.input(0).shape) == [1, 224, 224, 3]


@pytest.mark.filterwarnings("ignore:.*preserve_all_tensors:UserWarning")
def test_every_runtime_computes_on_the_very_pixels(lite0_bundle: Path) -> None:
    """What the first convolution reads, for each level of each colour, as the engines say it."""
    image = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), np.uint8)
    expected = ((image.astype(np.float32) - 127) / 128).transpose(0, 3, 1, 2)

    tflite = Interpreter(
        model_path=str(lite0_bundle / "model.tflite"), experimental_preserve_all_tensors=True
    )
    tflite.allocate_tensors()
    tflite.set_tensor(tflite.get_input_details()[0]["index"], image)
    tflite.invoke()
    shape, found = list(image.shape), []
    for detail in tflite.get_tensor_details():
        if detail["shape"].tolist() == shape and detail["dtype"] is np.int8:
            found.append(tflite.get_tensor(detail["index"]))
    assert len(found) == 1, "one tensor between the picture and the first convolution"
    np.testing.assert_array_equal(found[0].view(np.uint8), image ^ 0x80)

    model = onnx.load(lite0_bundle / "model.onnx")
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info("image/dq"))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    np.testing.assert_array_equal(session.run(["image/dq"], {"image": image})[0], expected)

    read = ov.Core().read_model(lite0_bundle / "model.xml")
    read.add_outputs("image/dq")
    compiled = ov.Core().compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    np.testing.assert_array_equal(compiled(image)["image/dq"], expected)


def test_nothing_but_the_softmax_runs_in_float(lite0_bundle: Path) -> None:
    for name, artifact in Bundle.load(lite0_bundle).artifacts.items():
        floats = artifact.details["float_op_names"]
        assert len(floats) == 1, (name, floats)
        assert "softmax" in floats[0].lower(), name
        assert artifact.details["int8_ops"] >= 50


def test_a_file_says_of_itself_what_it_needs(lite0_bundle: Path) -> None:
    model = onnx.load(lite0_bundle / "model.onnx")
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(about["edgecnn.preprocessing"])["mean"] == [127.0]
    assert len(about["edgecnn.labels"].splitlines()) == 1000
    loaded = ov.Core().read_model(lite0_bundle / "model.xml")
    assert loaded.get_rt_info(["edgecnn", "edgecnn.architecture"]).value == "efficientnet_lite0"
    assert b"edgecnn.preprocessing" in (lite0_bundle / "model.tflite").read_bytes()
    with zipfile.ZipFile(lite0_bundle / "model.tflite") as behind:
        assert behind.read("labels.txt") == (lite0_bundle / "labels.txt").read_bytes()


@pytest.mark.slow
def test_mediapipe_runs_the_file_alone(lite0_bundle: Path, samples: Path, tmp_path: Path) -> None:
    """Google's own reader of TFLite metadata: no bundle, no edgecnn, names instead of numbers."""
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", "mediapipe==1.2.2"], check=True)
    classify = """if True:
        import sys
        from mediapipe import Image
        from mediapipe.tasks.python import BaseOptions
        from mediapipe.tasks.python.vision import ImageClassifier, ImageClassifierOptions
        base = BaseOptions(model_asset_path=sys.argv[1])
        with ImageClassifier.create_from_options(ImageClassifierOptions(base)) as classifier:
            found = classifier.classify(Image.create_from_file(sys.argv[2]))
        print(found.classifications[0].categories[0].category_name)
    """
    picture = samples / "photographs" / "imagenet_18_317.jpg"
    done = subprocess.run(
        [python, "-c", classify, lite0_bundle / "model.tflite", picture],
        capture_output=True,
        text=True,
    )
    assert done.stdout.split("\n")[0] == "leafhopper", done.stderr


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_float_exports_say_what_keras_says(
    lenet5_run: Path, tmp_path: Path, precision: Precision
) -> None:
    from edgecnn.export.pipeline import export

    bundle = export(lenet5_run, precision=precision, out=tmp_path / "bundle")
    for artifact in bundle.artifacts.values():
        assert artifact.details["verification"]["max_abs_error"] < (0.01, 1e-4)[precision == "fp32"]
        assert artifact.details["verification"]["agreement_top1"] == 1.0
    weights = 61_706 * (2 if precision == "fp16" else 4)
    assert weights <= bundle.artifacts["tflite"].bytes < weights + 20_000


def test_dense_chains_are_right_in_openvino_on_one_thread(tmp_path: Path) -> None:
    """OpenVINO 2026.4 joins int8 MatMuls into a kernel that is wrong on one thread."""
    from edgecnn.export.pipeline import export
    from edgecnn.preprocessing import Preprocessing

    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3))
    x = keras.layers.MaxPooling2D(4)(keras.layers.Conv2D(16, 3, activation="relu")(image))
    x = keras.layers.Flatten()(x)
    for _ in range(2):
        x = keras.layers.Dense(84, activation="relu")(x)
    model = keras.Model(image, keras.layers.Dense(10, activation="softmax")(x), name="chain")
    bundle = export(
        model,
        preprocessing=Preprocessing(32, 32),
        labels=list("abcdefghij"),
        out=tmp_path / "chain",
    )
    picture = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    sessions = [
        runtimes.get(name).open(bundle.model_file(runtimes.get(name).format), threads)
        for name in RUNTIMES
        for threads in (1, 2)
    ]
    found = [session.infer(picture) for session in sessions]
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=0.02)


def test_resnet34_alone_and_offline(edgecnn_cli: Any, tmp_path: Path) -> None:
    """`edgecnn export resnet34 --int8` at full size, with whatever weights are to be had."""
    done = edgecnn_cli("export", "resnet34", "--int8", "--json", "--no-verdict", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["artifacts"]) == {"tflite", "onnx", "openvino"}
    for name, artifact in found["artifacts"].items():
        assert artifact["bytes"] <= 22.5e6, name
        assert artifact["agreement_top1"] >= 0.9, name
        assert artifact["float_ops"] == 1, artifact["float_op_names"]
        assert "softmax" in artifact["float_op_names"][0].lower()
    if found["weights"]["kind"] == "random":
        assert "predictions mean nothing" in done.stderr
