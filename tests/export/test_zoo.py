"""Every network of the zoo becomes int8 in every format, and says there what Keras says."""

import re
import time
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest

from edgecnn import zoo
from edgecnn.bundle import Bundle, Weights
from edgecnn.calibration.calibration_set import CalibrationSet
from edgecnn.calibration.default import default_calibration
from edgecnn.export.folding import fold
from edgecnn.export.heads import with_probabilities
from edgecnn.export.lowering import lower
from edgecnn.export.network import Network
from edgecnn.export.network import answers as reference
from edgecnn.export.pipeline import export
from edgecnn.export.statistics import GraphRun
from edgecnn.pictures import prepare
from edgecnn.preprocessing import Preprocessing
from edgecnn.targets.classifier import load

CLASSES = 7
FULL_SIZE_TABLE = Path(__file__).parents[2] / ".cache" / "full-size.tsv"
CHAOTIC = {"senet154": (0.1, 0.3)}
"""Where random BatchNorm scales must be smaller: at 0.6 to 1, a change of the picture by a
millionth moves a probability of senet154 by 0.08, so float answers could not be compared."""

FLOAT_OPERATORS = {
    "tflite": r"SOFTMAX|LOCAL_RESPONSE_NORMALIZATION",
    # ONNX Runtime has no integer tanh or hard swish, and scales LRN in float.
    "onnx": r"Softmax|LRN|Tanh|HardSigmoid|HardSwish|Mul|Relu",
    # OpenVINO joins features of different scales in float (DenseNet's first concatenation).
    "openvino": r"Softmax|Lrn|Subgraph|Math|Eltwise|Concatenation",
}
"""What may compute in float: no convolution, dense layer or pool."""


def decided(model: keras.Model, preprocessing: Preprocessing, images: np.ndarray) -> keras.Model:
    """The network with BatchNorm statistics as after training, and logits a few units apart.

    As initialised, some say the same of every class and others are certain of one: either way a
    wrong int8 network could not be told.
    """
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            low, high = CHAOTIC.get(model.name, (0.6, 1.0))
            values = [rng.uniform(0.6, 1.0, w.shape) for w in layer.get_weights()]
            layer.set_weights([rng.uniform(low, high, values[0].shape), *values[1:]])
    graph = fold(with_probabilities(lower(model)), preprocessing)
    (logits,) = graph[graph.output].inputs
    run = GraphRun(graph, [logits])
    values = [run(image[None])[1][logits] for image in images]
    last = [layer for layer in model.layers if getattr(layer, "kernel", None) is not None][-1]
    last.kernel.assign(last.kernel * (2 / np.std(values)))
    return model


@pytest.fixture(scope="module")
def pictures() -> CalibrationSet:
    found = default_calibration()
    return CalibrationSet("few", found.pictures[::8], found.held_out[::8], found.origin)


@pytest.mark.families
@pytest.mark.parametrize("name", zoo.names())
def test_it_exports_to_int8_in_every_format(
    name: str, pictures: CalibrationSet, tmp_path: Path
) -> None:
    entry = zoo.get(name)
    side = max(entry.minimum_side, min(64, entry.input_shape[0]))
    exported(name, side, CLASSES, pictures, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.names())
def test_it_exports_at_full_size(name: str, pictures: CalibrationSet, tmp_path: Path) -> None:
    """Adds a row to a table under .cache: bytes, mean error and float operators by format."""
    entry = zoo.get(name)
    start = time.perf_counter()
    bundle = exported(name, entry.input_shape[0], entry.classes, pictures, tmp_path)
    row = [name, f"{entry.input_shape[0]}", f"{time.perf_counter() - start:.0f}"]
    for artifact in bundle.artifacts.values():
        error = artifact.details["verification"]["mean_abs_error"]
        row += [f"{artifact.bytes / 1e6:.2f}", f"{error:.2e}", f"{artifact.details['float_ops']}"]
    FULL_SIZE_TABLE.parent.mkdir(exist_ok=True)
    with FULL_SIZE_TABLE.open("a") as table:
        table.write("\t".join(row) + "\n")


def exported(name: str, side: int, classes: int, pictures: CalibrationSet, folder: Path) -> Bundle:
    """Export a network at that input side, and hold every artifact to Keras's answers."""
    preprocessing = zoo.get(name).preprocessing_for((side, side, zoo.get(name).input_shape[2]))
    images = prepare(pictures.held_out, preprocessing)
    keras.utils.set_random_seed(zlib.crc32(name.encode()))
    model = decided(zoo.build(name, preprocessing.shape[1:], classes), preprocessing, images)
    labels = tuple(f"class {index}" for index in range(classes))
    network = Network(model, name, preprocessing, labels, Weights("random", "test", ""))
    bundle = export(network, calibration=pictures, out=folder / name)
    expected = reference(model, preprocessing, images)
    spread = float(expected.std(axis=1).mean())
    assert 0.07 / classes < spread < 0.34
    for format, artifact in bundle.artifacts.items():
        runtime = {"tflite": "litert", "onnx": "onnxruntime", "openvino": "openvino"}[format]
        classifier = load(bundle.path, runtime=runtime, threads=2)
        found = np.stack([classifier.infer(image[None]) for image in images])
        error = float(np.abs(found - expected).mean())
        assert error < 0.2 * spread, format
        floats = artifact.details["float_op_names"]
        if format == "tflite":
            # The last layer gives its sums in float, where it is small.
            floats = [name for name in floats if not name.endswith("(FULLY_CONNECTED)")]
            assert len(artifact.details["float_op_names"]) - len(floats) <= 1
        for operator in floats:
            assert re.search(rf"\((?:{FLOAT_OPERATORS[format]})\)", operator), (format, operator)
    return bundle
