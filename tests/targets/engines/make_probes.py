"""Writes the probe bundles that ship under `targets/probes/`, all or those named.

    python tests/targets/engines/make_probes.py [NAME...]

`colours` tells red, green and blue apart. `deep` has random weights and many small operators of
different sizes: what it takes beyond `colours` is what an engine keeps for each operator.
`peak` is one 3×3 convolution of 128 channels, at which engines come nearest to what the
processor can multiply: few weights, each used for many pixels, all of it inside the cache.
"""

import sys
import tempfile
from pathlib import Path

import cv2
import keras
import numpy as np

from edgecnn.export.pipeline import export
from edgecnn.preprocessing import Preprocessing
from edgecnn.targets.engines.probe import LABELS, SIDE

PROBES = Path(__file__).parents[3] / "targets" / "engines" / "probes"


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


def peak(side: int = 28, width: int = 128) -> keras.Model:
    """A 1×1 convolution to have the channels, then the 3×3 one that has 99% of the work."""
    keras.utils.set_random_seed(0)
    picture = keras.Input((side, side, 3))
    x = keras.layers.Conv2D(width, 1, activation="relu", kernel_initializer="he_normal")(picture)
    x = keras.layers.Conv2D(
        width, 3, padding="same", activation="relu", kernel_initializer="he_normal"
    )(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(picture, keras.layers.Dense(3, activation="softmax")(x), name="peak")


def pictures(folder: Path) -> Path:
    """Blots of colour to calibrate with."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(60):
        blots = rng.integers(0, 256, (6, 6, 3), np.uint8)
        large = cv2.resize(blots, (2 * SIDE, 2 * SIDE), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{index}.png"), large)
    return folder


def main(names: list[str]) -> None:
    """Export them in int8 and all formats."""
    with tempfile.TemporaryDirectory() as folder:
        calibration = pictures(Path(folder) / "blots")
        for make in (colours, deep, peak):
            if names and make.__name__ not in names:
                continue
            model = make()
            bundle = export(
                model,
                calibration=calibration,
                out=PROBES / model.name,
                preprocessing=Preprocessing(*model.input_shape[1:3]),
                labels=LABELS,
            )
            print(bundle.path, model.count_params(), "parameters")


if __name__ == "__main__":
    main(sys.argv[1:])
