"""Small real networks with each kind of head: trained on parts of photographs, in int8."""

from collections.abc import Callable
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from keras import layers

from edgecnn.export.pipeline import export
from edgecnn.preprocessing import Preprocessing

SIDE = 32
NAMES = ("market", "forest", "table", "beach")
LABELS = {"softmax": NAMES, "sigmoid": ("bright", "red", "rough"), "binary": ("other", "market")}
"""Of three ends of the same network."""
PREPROCESSING = Preprocessing(SIDE, SIDE, mean=(127.5,), std=(127.5,))


@pytest.fixture(scope="session")
def parts(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parts of four photographs, each in the folder of its own."""
    folder = tmp_path_factory.mktemp("parts")
    rng = np.random.default_rng(0)
    photographs = sorted((samples / "photographs").glob("*.jpg"))[::5]
    for name, path in zip(NAMES, photographs, strict=True):
        picture = cv2.imread(str(path))
        assert picture is not None
        (folder / name).mkdir()
        for number in range(60):
            side = int(rng.integers(60, min(160, *picture.shape[:2])))
            top, left = (int(rng.integers(0, length - side)) for length in picture.shape[:2])
            part = picture[top : top + side, left : left + side]
            assert cv2.imwrite(str(folder / name / f"{number:03}.png"), part)
    return folder


@pytest.fixture(scope="session")
def network(parts: Path) -> keras.Model:
    """Tells from which photograph a part is, and how it looks."""
    keras.utils.set_random_seed(0)
    paths = [path for name in NAMES for path in sorted((parts / name).glob("*.png"))]
    read = [cv2.imread(str(path)) for path in paths]
    pixels = np.stack(
        [cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)[..., ::-1] for image in read]
    ).astype(np.float32)
    classes = np.array([NAMES.index(path.parent.name) for path in paths])
    red, blue = pixels[..., 0].mean((1, 2)), pixels[..., 2].mean((1, 2))
    looks = np.stack([pixels.mean((1, 2, 3)), red - blue, pixels.std((1, 2, 3))], axis=1)
    truths = [
        np.eye(len(NAMES), dtype=np.float32)[classes],
        (looks > np.median(looks, axis=0)).astype(np.float32),
        (classes == 0).astype(np.float32)[:, None],
    ]
    x = taken = keras.Input((SIDE, SIDE, 3))
    for filters in (16, 32):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D()(layers.Activation("relu")(x))
    x = layers.Flatten()(layers.Conv2D(8, 3, activation="relu")(x))
    ends = [
        layers.Dense(4, activation="softmax", name="softmax")(x),
        layers.Dense(3, activation="sigmoid", name="sigmoid")(x),
        layers.Dense(1, activation="sigmoid", name="binary")(x),
    ]
    model = keras.Model(taken, ends, name="parts")
    losses = ["categorical_crossentropy", "binary_crossentropy", "binary_crossentropy"]
    model.compile(keras.optimizers.Adam(3e-3), losses)
    model.fit((pixels - 127.5) / 127.5, truths, epochs=10, batch_size=32, verbose=0)
    return model


Exporter = Callable[[str, Path, Path], Path]


@pytest.fixture(scope="session")
def export_end(network: keras.Model) -> Exporter:
    """Exports the end of that name in int8, calibrated with some pictures."""

    def write(head: str, pictures: Path, out: Path) -> Path:
        return export(
            network,
            formats=("onnx",),
            calibration=pictures,
            out=out,
            preprocessing=PREPROCESSING,
            labels=LABELS[head],
            output=head,
        ).path

    return write
