"""An export of the very same thing keeps what is there; of anything else, it does not."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from edgecnn.bundle import Bundle
from edgecnn.calibration.calibration_set import CalibrationSet
from edgecnn.calibration.default import default_calibration
from edgecnn.export import network as networks
from edgecnn.export.network import Network
from edgecnn.export.pipeline import export
from edgecnn.preprocessing import Preprocessing
from edgecnn.targets.classifier import load


@pytest.fixture(scope="module")
def network() -> Network:
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((24, 24, 3)),
            keras.layers.Conv2D(8, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4, activation="softmax"),
        ],
        name="tiny",
    )
    preprocessing = Preprocessing(24, 24, mean=(127.5,), std=(127.5,))
    return networks.of_model(model, preprocessing, labels=list("abcd"))


@pytest.fixture(scope="module")
def pictures() -> CalibrationSet:
    found = default_calibration()
    return replace(found, pictures=found.pictures[:24], held_out=found.held_out[:8])


def stamps(bundle: Bundle) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in bundle.path.iterdir()}


def test_the_same_again_does_nothing(
    network: Network, pictures: CalibrationSet, tmp_path: Path
) -> None:
    first = export(network, ["tflite"], calibration=pictures, out=tmp_path / "b")
    before = stamps(first)
    again = export(network, ["tflite"], calibration=pictures, out=tmp_path / "b")
    assert stamps(again) == before
    assert again.manifest == first.manifest


def test_one_more_format_keeps_the_first(
    network: Network, pictures: CalibrationSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = export(network, ["tflite"], calibration=pictures, out=tmp_path / "b", max_drop=50)
    model = (first.path / "model.tflite").read_bytes()
    # Whoever wrote or judged the TFLite file a second time would fail here.
    monkeypatch.setattr("edgecnn.export.formats.tflite.write", None)
    both = export(network, ["onnx"], calibration=pictures, out=tmp_path / "b", max_drop=50)
    assert list(both.artifacts) == ["tflite", "onnx"]
    assert (both.path / "model.tflite").read_bytes() == model
    assert both.artifacts["tflite"] == first.artifacts["tflite"]
    assert both.manifest["quantisation"] == first.manifest["quantisation"]
    for runtime in ("litert", "onnxruntime"):
        assert load(both.path, runtime=runtime)


@pytest.mark.parametrize(
    "change",
    [
        {"method": "minmax"},
        {"weight_bits": 7},
        {"precision": "fp16"},
        {"max_drop": 99.0},
        {"calibration": "others"},
        {"model": "weights"},
        {"model": "labels"},
    ],
    ids=str,
)
def test_anything_else_is_made_anew(
    network: Network, pictures: CalibrationSet, tmp_path: Path, change: dict[str, Any]
) -> None:
    first = export(network, ["onnx"], calibration=pictures, out=tmp_path / "b")
    asked: dict[str, Any] = {"model": network, "calibration": pictures} | change
    if change.get("calibration"):
        asked["calibration"] = replace(pictures, pictures=pictures.pictures[:-1])
    if change.get("model") == "weights":
        model = keras.models.clone_model(network.model)
        model.set_weights([value * np.float32(1.001) for value in network.model.get_weights()])
        asked["model"] = replace(network, model=model)
    if change.get("model") == "labels":
        asked["model"] = replace(network, labels=("a", "b", "c", "e"))
    other = export(formats=["tflite"], out=tmp_path / "b", **asked)
    assert list(other.artifacts) == ["tflite"]
    assert other.manifest["fingerprint"] != first.manifest["fingerprint"]


def test_a_damaged_bundle_is_made_anew(
    network: Network, pictures: CalibrationSet, tmp_path: Path
) -> None:
    first = export(network, ["onnx"], calibration=pictures, out=tmp_path / "b")
    (first.path / "model.onnx").write_bytes(b"broken")
    assert export(network, ["onnx"], calibration=pictures, out=tmp_path / "b").artifacts["onnx"]


def test_ranges_that_no_longer_hold_are_sought_anew_for_all_formats(
    network: Network, pictures: CalibrationSet, tmp_path: Path
) -> None:
    """The kept recipe loses too much in the new format: here, since the manifest says so."""
    first = export(network, ["tflite"], calibration=pictures, out=tmp_path / "b", max_drop=13)
    manifest = json.loads((first.path / "manifest.json").read_text())
    manifest["artifacts"]["tflite"]["verification"]["agreement_top1"] = 0.1
    (first.path / "manifest.json").write_text(json.dumps(manifest))
    both = export(network, ["onnx"], calibration=pictures, out=tmp_path / "b", max_drop=13)
    assert list(both.artifacts) == ["tflite", "onnx"]
    assert both.artifacts["tflite"].details["verification"]["agreement_top1"] > 0.8


def test_seven_bit_weights_cannot_overflow_sixteen_bits(
    network: Network, pictures: CalibrationSet, tmp_path: Path
) -> None:
    """Processors without VNNI add two products of uint8 and int8 in 16 bits."""
    import onnx
    from onnx import numpy_helper

    bundle = export(network, ["onnx"], calibration=pictures, out=tmp_path / "b", weight_bits=7)
    model = onnx.load(bundle.path / "model.onnx")
    kernels = [
        numpy_helper.to_array(tensor).astype(int)
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) > 1
    ]
    assert len(kernels) == 2
    assert all(np.abs(kernel).max() == 63 for kernel in kernels)
    assert 2 * 255 * 63 < 2**15
    assert bundle.manifest["quantisation"]["weights"] == "symmetric int7 per output channel"
    assert bundle.artifacts["onnx"].details["verification"]["agreement_top1"] >= 0.75
