"""The layer report: the same integers in every engine, and the layer that is to blame."""

from dataclasses import replace
from pathlib import Path

import pytest

from edgecnn import zoo
from edgecnn.calibration.calibration_set import CalibrationSet
from edgecnn.calibration.default import default_calibration
from edgecnn.checkpoint import Checkpoint
from edgecnn.export import network as networks
from edgecnn.export.explain import draw, explain, worst
from edgecnn.export.folding import fold
from edgecnn.export.formats.tflite import write as write_tflite
from edgecnn.export.heads import with_probabilities
from edgecnn.export.lowering import lower
from edgecnn.export.pipeline import export
from edgecnn.export.quantised import Scale
from edgecnn.export.recipe import Quantiser, Recipe
from edgecnn.pictures import prepare

FORMATS = ("tflite", "onnx", "openvino")


@pytest.fixture(scope="module")
def ratios(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    shape = (96, 96, 3)
    pictures = default_calibration()
    bundle = export(
        zoo.build("efficientnet_lite0", shape, weights="imagenet"),
        preprocessing=zoo.get("efficientnet_lite0").preprocessing_for(shape),
        labels=[f"class {index}" for index in range(1000)],
        calibration=replace(pictures, held_out=pictures.held_out[::2]),
        out=tmp_path_factory.mktemp("explain") / "b",
        explain_layers=True,
    )
    assert (bundle.path / "layers.png").stat().st_size > 10_000
    found: dict[str, dict[str, float]] = bundle.manifest["layers_sqnr_db"]
    return found


def test_every_layer_is_reported_in_every_format(ratios: dict[str, dict[str, float]]) -> None:
    assert {len(found) for found in ratios.values()} == {60}
    assert all(10 < value < 60 for found in ratios.values() for value in found.values())


def test_the_engines_compute_the_same_integers(ratios: dict[str, dict[str, float]]) -> None:
    """All but the logits, which only TFLite holds in 8 bits, are within a fraction of a bit."""
    for layer, value in ratios["tflite"].items():
        assert ratios["onnx"][layer] == pytest.approx(value, abs=1.0), layer
        assert ratios["openvino"][layer] == pytest.approx(value, abs=1.0), layer


def test_the_layer_that_is_to_blame_is_named(lenet5_run: Path, tmp_path: Path) -> None:
    network = networks.of_checkpoint(Checkpoint.load(lenet5_run))
    own = CalibrationSet.load(lenet5_run / "calibration")
    graph = fold(with_probabilities(lower(network.model)), network.preprocessing)
    images = prepare(own.pictures[:20], network.preprocessing)
    quantised = Quantiser(graph, images).quantise(Recipe())
    coarse = replace(quantised, scales={**quantised.scales, "f6": Scale(0.9, 128)})
    write_tflite(coarse.graph, coarse, tmp_path)
    found = explain(coarse, ["tflite"], tmp_path, images)["tflite"]
    before = [name for name in found if name[0] == "c" or name[0] == "s"]
    assert found["f6"] < min(found[name] for name in before) - 10
    assert worst(found, 1)[0][0] in ("f6", "f6_tanh")
    draw({"tflite": found}, tmp_path / "plot.png", "f6 is to blame")
    assert (tmp_path / "plot.png").exists()
