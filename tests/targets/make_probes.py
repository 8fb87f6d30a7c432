"""Writes the two probe bundles that ship under `targets/probes/`.

    python tests/targets/make_probes.py

`colours` tells red, green and blue apart. `deep` has random weights and many small operators of
different sizes: what it takes beyond `colours` is what an engine keeps for each operator.
"""

import tempfile
from pathlib import Path

import cv2
import keras
import numpy as np

from edgecnn.export.pipeline import export
from edgecnn.preprocessing import Preprocessing
from edgecnn.targets.probe import LABELS, SIDE

PROBES = Path(__file__).parents[2] / "targets" / "probes"


def colours() -> keras.Model:
    """Identity convolution, mean of each channel, softmax of eight times that."""
    picture = keras.Input((SIDE, SIDE, 3))
    convolution = keras.layers.Conv2D(3, 3, padding="same", activation="relu")
    dense = keras.layers.Dense(3, activation="softmax")
    x = keras.layers.GlobalAveragePooling2D()(convolution(picture))
    model = keras.Model(picture, dense(x), name="colours")
    kernel = np.zeros((3, 3, 3, 3), np.float32)
    kernel[1, 1] = np.eye(3)
    convolution.set_weights([kernel, np.zeros(3)])
    dense.set_weights([8 * np.eye(3), np.zeros(3)])
    return model


def deep(units: int = 8) -> keras.Model:
    """Inverted residual units, each with another number of channels, as no two are alike."""
    layers = keras.layers
    keras.utils.set_random_seed(0)
    he = "he_normal"
    x = picture = keras.Input((SIDE, SIDE, 3))
    for unit in range(units):
        width = 8 + 4 * unit
        x = layers.Conv2D(width, 1, activation="relu", kernel_initializer=he)(x)
        y = layers.DepthwiseConv2D(3, padding="same", activation="relu", depthwise_initializer=he)(
            x
        )
        y = layers.Conv2D(width, 1, kernel_initializer=he)(y)
        x = layers.Add()([x, y])
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(picture, layers.Dense(3, activation="softmax")(x), name="deep")


def pictures(folder: Path) -> Path:
    """Plain colours and noise to calibrate with."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(60):
        plain = rng.integers(0, 256, 3, np.uint8) * np.ones((SIDE, SIDE, 1), np.uint8)
        noise = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        cv2.imwrite(str(folder / f"{index}.png"), noise if index % 4 == 0 else plain)
    return folder


def main() -> None:
    """Export both, in int8 and all formats."""
    with tempfile.TemporaryDirectory() as folder:
        calibration = pictures(Path(folder) / "plain-and-noise")
        for model in (colours(), deep()):
            bundle = export(
                model,
                calibration=calibration,
                out=PROBES / model.name,
                preprocessing=Preprocessing(SIDE, SIDE),
                labels=LABELS,
            )
            print(bundle.path, model.count_params(), "parameters")


if __name__ == "__main__":
    main()
