"""Every network of the zoo becomes int8 in every format, and says there what Keras says."""

import re
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest

from edgecnn import zoo
from edgecnn.bundle import Weights
from edgecnn.calibration.calibration_set import CalibrationSet
from edgecnn.calibration.default import default_calibration
from edgecnn.export.folding import fold
from edgecnn.export.lowering import lower, with_probabilities
from edgecnn.export.network import Network
from edgecnn.export.pipeline import export
from edgecnn.export.statistics import GraphRun
from edgecnn.export.verify import reference
from edgecnn.pictures import prepare
from edgecnn.preprocessing import Preprocessing
from edgecnn.targets.classifier import load

CLASSES = 7
DEEPER = {"densenet169", "densenet201", "resnet101", "resnet152", "senet154", "vgg19"}
"""More of the same layers as a smaller network of the family: exported in the full run only."""

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
            layer.set_weights([rng.uniform(0.6, 1.0, w.shape) for w in layer.get_weights()])
    graph = fold(with_probabilities(lower(model)), preprocessing)
    (logits,) = graph[graph.output].inputs
    values = [GraphRun(graph, [logits])(image[None])[1][logits] for image in images]
    last = [layer for layer in model.layers if getattr(layer, "kernel", None) is not None][-1]
    last.kernel.assign(last.kernel * (2 / np.std(values)))
    return model


@pytest.fixture(scope="module")
def pictures() -> CalibrationSet:
    found = default_calibration()
    return CalibrationSet("few", found.pictures[::8], found.held_out[::8], found.origin)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n in DEEPER else n for n in zoo.names()],
)
def test_it_exports_to_int8_in_every_format(
    name: str, pictures: CalibrationSet, tmp_path: Path
) -> None:
    entry = zoo.get(name)
    side = max(entry.minimum_side, min(64, entry.input_shape[0]))
    preprocessing = entry.preprocessing_for((side, side, entry.input_shape[2]))
    images = prepare(pictures.held_out, preprocessing)
    keras.utils.set_random_seed(zlib.crc32(name.encode()))
    model = decided(zoo.build(name, preprocessing.shape[1:], CLASSES), preprocessing, images)
    labels = tuple("abcdefghij"[:CLASSES])
    network = Network(model, name, preprocessing, labels, Weights("random", "test", ""))
    bundle = export(network, calibration=pictures, out=tmp_path / name)
    expected = reference(model, preprocessing, images)
    spread = float(expected.std(axis=1).mean())
    assert 0.01 < spread < 0.34
    for format, artifact in bundle.artifacts.items():
        runtime = {"tflite": "litert", "onnx": "onnxruntime", "openvino": "openvino"}[format]
        classifier = load(bundle.path, runtime=runtime, threads=2)
        found = np.stack([classifier.infer(image[None]) for image in images])
        error = float(np.abs(found - expected).mean())
        assert error < 0.2 * spread, format
        for operator in artifact.details["float_op_names"]:
            assert re.search(rf"\((?:{FLOAT_OPERATORS[format]})\)", operator), (format, operator)
