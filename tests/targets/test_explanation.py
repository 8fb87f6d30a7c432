"""Where a network looked: the map follows what the artifact really reacts to."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

import edgecnn
from edgecnn.cli.explain import command
from edgecnn.head import Head
from edgecnn.targets.classifier import Classifier, load
from edgecnn.targets.explanation import Explanation, overlay

TAGS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def tags(write_head: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_head(tmp_path_factory.mktemp("tags") / "tags", Head.of("sigmoid", 3), *TAGS)


def two_patches() -> NDArray[np.uint8]:
    """Red in the upper left, green in the lower right; BGR."""
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[8:24, 8:24, 2] = 255
    frame[40:56, 40:56, 1] = 255
    return frame


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_the_map_is_where_the_label_is(tags: Path, runtime: str) -> None:
    classifier = load(tags, runtime)
    classifier(two_patches())
    red, green, blue = (
        Explanation(classifier.image, i, classifier.head).finish(classifier.infer) for i in range(3)
    )
    half = red.shape[0] // 2
    assert red[:half, :half].max() == red.max() > 10 * abs(red[half:, half:]).max()
    assert green[half:, half:].max() == green.max() > 10 * abs(green[:half, :half]).max()
    assert abs(blue).max() < 0.05 * red.max()


def test_the_command_writes_a_picture_and_says_where(tags: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "patches.png"), two_patches())
    words: list[Any] = [tags, tmp_path / "patches.png", "--runtime", "onnxruntime", "--json"]
    out = tmp_path / "why.png"
    done = CliRunner().invoke(command, [*map(str, words), "--label", "green", "--out", str(out)])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["label"], found["out"]) == ("green", str(out))
    assert min(found["most"]) > 0.5
    drawn = cv2.imread(str(out))
    assert drawn is not None
    warm = drawn[..., 2].astype(int) - drawn[..., 0]
    height, width = warm.shape
    assert warm[height // 2 :, width // 2 :].max() > 30 + warm[: height // 2, : width // 2].max()
    with pytest.raises(edgecnn.EdgeCnnError, match="did you mean 'green'"):
        CliRunner().invoke(command, [*map(str, words), "--label", "gren"], catch_exceptions=False)


def test_with_random_weights_the_map_is_another(lenet5_bundle: Path, tmp_path: Path) -> None:
    """The sanity check of Adebayo et al., 2018: a map of the picture alone would stay."""
    from sklearn.datasets import load_digits

    from edgecnn.calibration.calibration_set import CalibrationSet

    trained = load(lenet5_bundle, "litert")
    run = next((lenet5_bundle.parents[1] / "runs").glob("lenet5-*"))
    random = edgecnn.export(
        "lenet5",
        "tflite",
        weights="random",
        calibration=CalibrationSet.load(run / "calibration"),
        out=tmp_path / "random",
    )
    other = load(random.path, "litert")
    alike = []
    for digit in load_digits().images[:12]:
        frame = (digit * 15.9).astype(np.uint8)
        maps = [_map(classifier, frame) for classifier in (trained, other)]
        alike.append(np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1])
    assert abs(np.mean(alike)) < 0.5
    assert overlay(trained.image, maps[0]).shape[2] == 3


def _map(classifier: Classifier, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    answer = classifier(frame).top[0].class_index
    assert answer is not None
    return Explanation(classifier.image, answer, classifier.head).finish(classifier.infer)
