"""The classifiers of keras.applications: files in three engines say what Keras says.

Those of few layers by default; all of them, at their smallest, in the full run.
"""

import inspect
from pathlib import Path

import keras
import numpy as np
import pytest

import edgecnn
from edgecnn.calibration.calibration_set import CalibrationSet
from edgecnn.calibration.default import default_calibration
from edgecnn.export.front import scales_pixels
from edgecnn.export.lowering import lower
from edgecnn.pictures import prepare
from edgecnn.targets.engines import runtimes

NAMES = [
    name
    for name, build in inspect.getmembers(keras.applications, inspect.isfunction)
    if name[0].isupper()
]
SMALL = {"MobileNet", "MobileNetV3Small", "EfficientNetV2B0"}
SIDES = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71, "NASNetMobile": 96}


@pytest.fixture(scope="module")
def pictures() -> CalibrationSet:
    found = default_calibration()
    return CalibrationSet("few", found.pictures[::8], found.held_out[::4], found.origin)


def last_norm(tensor: keras.KerasTensor) -> keras.layers.BatchNormalization | None:
    """The BatchNorm with a scale that made this tensor, if one did."""
    made = tensor._keras_history.operation
    while isinstance(made, keras.layers.Dropout):
        made = made.input._keras_history.operation
    return made if isinstance(made, keras.layers.BatchNormalization) and made.scale else None


def lively(model: keras.Model, images: np.ndarray) -> keras.Model:
    """As after training: BatchNorm fitted to pictures, answers that differ between them.

    Residual branches add little to what they are added to, as trained ones do (Goyal et al. 2017
    let them begin at nothing): at full strength a hundred layers of random weights multiply
    Keras's own rounding until its float32 and float64 answers are more than 1e-3 apart.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
        elif isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # what is fitted is what is answered with: no block left out
        elif isinstance(layer, keras.layers.Add):
            ends = [last_norm(tensor) for tensor in layer.input]
            if None in ends:
                for norm in filter(None, ends):
                    norm.gamma.assign(norm.gamma * 0.3)
    model(images, training=True)
    last = model.layers[-1]
    if not isinstance(last, keras.layers.Dense):
        return model
    kernel, bias = last.get_weights()
    features = keras.Model(model.inputs[0], last.input)(images, training=False)
    logits = np.asarray(features) @ kernel
    gain = 2 / max(float(logits.std(axis=0).mean()), 1e-3)
    last.set_weights([kernel * gain, bias - logits.mean(axis=0) * gain])
    return model


@pytest.mark.parametrize(
    "name", [n if n in SMALL else pytest.param(n, marks=pytest.mark.slow) for n in NAMES]
)
def test_it_says_in_every_format_what_keras_says(
    name: str, pictures: CalibrationSet, tmp_path: Path
) -> None:
    keras.utils.set_random_seed(1)
    side = SIDES.get(name, 64)
    build = getattr(keras.applications, name)
    model = build(weights=None, input_shape=(side, side, 3), classes=10)
    # Some scale their pixels themselves; the others are asked how they want them.
    rule = "raw" if scales_pixels(lower(model)) else "-1..1"
    preprocessing = edgecnn.Preprocessing.named(rule, side, side)
    images = prepare(pictures.held_out, preprocessing)
    seen = preprocessing.normalise(images)
    model = lively(model, seen)
    wanted = np.asarray(model(seen, training=False))
    bundle = edgecnn.export(
        model,
        precision="fp32",
        calibration=pictures,
        out=tmp_path / "fp32",
        preprocessing=preprocessing,
    )
    for runtime in map(runtimes.get, runtimes.RUNTIMES):
        session = runtime.open(bundle.model_file(runtime.format), threads=2)
        found = np.stack([session.infer(image[None]) for image in images])
        np.testing.assert_allclose(found, wanted, atol=1e-3, err_msg=runtime.name)
