"""NVIDIA's own builder takes what we say TensorRT takes. No GPU: nothing of it runs here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgecnn import zoo
from edgecnn.export.folding import fold
from edgecnn.export.formats.onnx import write as write_onnx
from edgecnn.export.heads import with_probabilities
from edgecnn.export.lowering import lower
from edgecnn.graph import Graph

Build = Callable[[Path], dict[str, Any]]

CLASSES = 7


def small(name: str) -> Graph:
    """The network for small pictures, with random weights."""
    entry = zoo.get(name)
    side = max(entry.minimum_side, min(64, entry.input_shape[0]))
    preprocessing = entry.preprocessing_for((side, side, entry.input_shape[2]))
    return fold(
        with_probabilities(lower(zoo.build(name, preprocessing.shape[1:], CLASSES))), preprocessing
    )


@pytest.mark.families
@pytest.mark.parametrize("name", zoo.names())
def test_each_network_in_half(name: str, nvidia_build: Build, tmp_path: Path) -> None:
    write_onnx(small(name), None, tmp_path, half=True)
    found = nvidia_build(tmp_path / "model.onnx")
    assert not found["errors"]
    # The mean and scale of the pixels may stay in float.
    assert found["bytes"]["half"] > 100 * found["bytes"].get("float", 0)


def test_a_network_in_float(nvidia_build: Build, tmp_path: Path) -> None:
    write_onnx(small("resnet18"), None, tmp_path)
    found = nvidia_build(tmp_path / "model.onnx")
    assert not found["errors"]
    assert set(found["bytes"]) == {"float"}


def test_an_ordinary_int8_bundle_is_refused(lenet5_bundle: Path, nvidia_build: Build) -> None:
    found = nvidia_build(lenet5_bundle / "model.onnx")
    assert found["errors"]
    assert not found["bytes"]
