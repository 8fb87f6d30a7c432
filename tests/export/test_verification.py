"""What is wrong with an int8 network is caught by its verification, or repaired."""

from dataclasses import replace
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from edgecnn import labels_csv
from edgecnn.bundle import Bundle
from edgecnn.calibration.calibration_set import CalibrationSet
from edgecnn.checkpoint import Checkpoint
from edgecnn.errors import CheckFailed, DataError, ExportError
from edgecnn.export import network as networks
from edgecnn.export.evaluate import evaluate
from edgecnn.export.network import Network
from edgecnn.export.pipeline import export
from edgecnn.pictures import Picture


@pytest.fixture(scope="module")
def lenet5(lenet5_run: Path) -> Network:
    return networks.of_checkpoint(Checkpoint.load(lenet5_run))


@pytest.fixture(scope="module")
def own(lenet5: Network) -> CalibrationSet:
    assert lenet5.checkpoint is not None
    return CalibrationSet.load(lenet5.checkpoint.calibration)


def test_a_sound_network_passes(lenet5: Network, own: CalibrationSet, tmp_path: Path) -> None:
    bundle = export(lenet5, calibration=own, out=tmp_path / "bundle", max_drop=1.0)
    for artifact in bundle.artifacts.values():
        assert artifact.details["verification"]["top1_drop"] <= 1.0


def test_black_calibration_pictures_are_caught(
    lenet5: Network, own: CalibrationSet, tmp_path: Path
) -> None:
    assert cv2.imwrite(str(tmp_path / "black.png"), np.zeros((32, 32, 3), np.uint8))
    bad = replace(own, pictures=(Picture(tmp_path / "black.png"),) * 20)
    with pytest.raises(CheckFailed, match="more than --max-drop 1"):
        export(lenet5, ["onnx"], calibration=bad, out=tmp_path / "bundle", max_drop=1.0)
    assert not (tmp_path / "bundle").exists()


def test_a_broken_preprocessing_is_caught(
    lenet5: Network, own: CalibrationSet, tmp_path: Path
) -> None:
    """Agreement cannot tell: float and int8 are wrong alike. The labels can."""
    other = replace(lenet5.preprocessing, mean=(400.0,), std=(9.0,))
    with pytest.raises(ExportError, match="preprocessing or labels are not those"):
        export(replace(lenet5, preprocessing=other), calibration=own, out=tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_layer_scaled_by_ten_thousand_is_caught_or_repaired(
    lenet5: Network, own: CalibrationSet, tmp_path: Path
) -> None:
    """One channel of a ReLU layer ten thousand times the others, and taken back by the next.

    In float the function is the same; one scale for the tensor leaves the others no bits.
    """
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((32, 32, 1)),
            keras.layers.Conv2D(8, 5, strides=2, activation="relu"),
            keras.layers.Conv2D(16, 5, strides=2, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.layers[-1].kernel.assign(model.layers[-1].kernel * 20)
    (kernel, bias), (second, second_bias) = (
        [np.array(w) for w in layer.get_weights()] for layer in model.layers[:2]
    )
    kernel[..., 0] *= 1e4
    second[:, :, 0] /= 1e4
    model.layers[0].set_weights([kernel, bias])
    model.layers[1].set_weights([second, second_bias])
    network = Network(model, "scaled", lenet5.preprocessing, lenet5.labels, lenet5.weights)
    unlabelled = replace(
        own,
        pictures=tuple(replace(p, label=None) for p in own.pictures),
        held_out=tuple(replace(p, label=None) for p in own.held_out),
    )
    bundle = export(network, calibration=unlabelled, out=tmp_path / "repaired", max_drop=5.0)
    ladder = bundle.manifest["quantisation"]["ladder"]
    assert max(ladder[0]["points_lost"].values()) > 10, "plain int8 loses"
    assert max(ladder[-1]["points_lost"].values()) <= 5, "the ladder brings it back"
    assert bundle.manifest["quantisation"]["recipe"]["equalise"]


def test_evaluation_pictures_must_not_calibrate(
    lenet5_run: Path, own: CalibrationSet, tmp_path: Path
) -> None:
    (folder := tmp_path / "leak").mkdir()
    for picture in own.held_out[:8]:
        (folder / picture.path.name).write_bytes(picture.path.read_bytes())
    with pytest.raises(DataError, match="evaluation pictures of the training run"):
        export(lenet5_run, calibration=folder, out=tmp_path / "bundle")


def test_the_verification_figures_are_what_evaluate_finds(
    lenet5_bundle: Path, own: CalibrationSet, tmp_path: Path
) -> None:
    labels_csv.write(tmp_path, [(str(p.path), str(p.label)) for p in own.held_out])
    found = evaluate(lenet5_bundle, tmp_path, reference=False)
    artifacts = Bundle.load(lenet5_bundle).artifacts
    for format, result in found.results.items():
        verified = artifacts[format].details["verification"]
        assert result.accuracy.top1 == pytest.approx(verified["top1"])


def test_lenet5_on_digits_keeps_96_percent_in_every_runtime(lenet5_bundle: Path) -> None:
    found = evaluate(lenet5_bundle, "digits", reference=False)
    assert set(found.results) == {"tflite", "onnx", "openvino"}
    for format, result in found.results.items():
        assert result.accuracy.top1 >= 0.96, format


def test_float_layers_run_in_float_in_every_format(
    lenet5: Network, own: CalibrationSet, tmp_path: Path
) -> None:
    """ONNX Runtime quantises float weights behind a plain DequantizeLinear unless prevented."""
    from edgecnn.export import formats
    from edgecnn.export.folding import fold
    from edgecnn.export.formats.onnx import write as write_onnx
    from edgecnn.export.formats.openvino import write as write_openvino
    from edgecnn.export.formats.tflite import write as write_tflite
    from edgecnn.export.heads import with_probabilities
    from edgecnn.export.lowering import lower
    from edgecnn.export.recipe import Quantiser, Recipe
    from edgecnn.pictures import prepare

    graph = fold(with_probabilities(lower(lenet5.model)), lenet5.preprocessing)
    quantiser = Quantiser(graph, prepare(own.pictures[:20], lenet5.preprocessing))
    quantised = quantiser.quantise(Recipe(float_layers=("c3",)))
    writers = {"tflite": write_tflite, "onnx": write_onnx, "openvino": write_openvino}
    for format, write in writers.items():
        write(quantised.graph, quantised, tmp_path)
        names = formats.get(format).audit(tmp_path).float_op_names
        assert any("c3" in name and "onv" in name.lower() for name in names), (format, names)
        assert not any("c5" in name and "onv" in name.lower() for name in names), (format, names)
