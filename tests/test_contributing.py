"""The guides of CONTRIBUTING.md, each followed to the letter on a copy of the code."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecnn.errors import ExportError
from edgecnn.preprocessing import Preprocessing

ROOT = Path(__file__).parents[1]
ARCHITECTURE = '''"""A network of two layers."""

from edgecnn.preprocessing import Preprocessing
from edgecnn.zoo.registry import architecture


@architecture(
    family="Tiny",
    year=2026,
    paper="arXiv:2601.00001",
    preprocessing=Preprocessing(32, 32, 3),
    classes=4,
)
def tiny(input_shape, classes, *, classifier_activation="softmax", **options):
    """One convolution."""
    import keras
    from keras import layers

    image = keras.Input(input_shape)
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(image)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    return keras.Model(image, x, name="tiny")
'''
RUNTIME = '''"""An engine that is not here."""

from edgecnn.errors import RuntimeUnavailable


class Ncnn:
    name = "ncnn"
    format = "onnx"

    def engine(self):
        raise RuntimeUnavailable("ncnn is not installed: pip install ncnn")


RUNTIME = Ncnn()
'''
BOARD = '''"""Boards of Pine64."""

from edgecnn.targets.board.target import Target


class Pine(Target):
    """A board of Pine64."""

    name = "pine"
    runtimes = ("litert",)

    @classmethod
    def recognise(cls, machine):
        """By its device tree."""
        return "pine64" in str(machine.compatible)


TARGET = Pine
'''
COMMAND = '''"""`edgecnn hello`."""

import click


@click.command()
def command() -> None:
    """Greet."""
    click.echo("hello")
'''


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("edgecnn", "export", "targets", "calibration"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True)
    return folder


def edgecnn(checkout: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=checkout, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def add_line(path: Path, table: str, line: str) -> None:
    text = path.read_text()
    assert text.count(table) == 1
    path.write_text(text.replace(table, f"{table}\n    {line}"))


def test_an_architecture(checkout: Path) -> None:
    (checkout / "edgecnn/zoo/families/tiny.py").write_text(ARCHITECTURE)
    edgecnn(checkout, "edgecnn.zoo.figures", "tiny")
    listed = {one["name"]: one for one in json.loads(edgecnn(checkout, "edgecnn", "zoo", "--json"))}
    assert listed["tiny"]["parameters"] == (27 + 1) * 8 + (8 + 1) * 4
    assert listed["lenet5"]["parameters"] == 61_706


def test_a_keras_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    import keras
    import tensorflow as tf

    from edgecnn.export.builder import Builder, Tensor
    from edgecnn.export.folding import fold
    from edgecnn.export.lowering import lower
    from edgecnn.export.primitives.rule import RULES, flowing, lowers
    from edgecnn.export.statistics import GraphRun

    class Entropy(keras.layers.Layer):
        """Of what is between 0 and 1."""

        def call(self, x: Any) -> Any:
            return tf.math.xlogy(x, x)

    image = keras.Input((4, 4, 3))
    spread = Entropy()(keras.ops.sigmoid(image / 255))
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(spread))
    with pytest.raises(ExportError, match="Xlogy"):
        lower(model)

    monkeypatch.setitem(RULES, "Xlogy", RULES["Mul"])  # taken away again after the test

    @lowers("Xlogy")
    def rule(builder: Builder, primitive: Any, inputs: Sequence[Tensor], name: str) -> Tensor:
        logarithm = builder.activation("log", flowing(inputs[1], name), f"{name}_log")
        return builder.binary("multiply", inputs[0], logarithm, name)

    picture = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3)).astype(np.uint8)
    as_it_is = Preprocessing(4, 4, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    graph = fold(lower(model), as_it_is)
    found, _ = GraphRun(graph, [])(picture)
    np.testing.assert_allclose(found[None], np.asarray(model(picture)), atol=1e-6)


def listed_targets(checkout: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(edgecnn(checkout, "edgecnn", "targets", "--json"))
    return found


def test_a_runtime(checkout: Path) -> None:
    folder = checkout / "targets/engines/runtimes"
    (folder / "ncnn.py").write_text(RUNTIME)
    line = '"ncnn": "edgecnn.targets.engines.runtimes.ncnn:RUNTIME",'
    add_line(folder / "__init__.py", "RUNTIMES = {", line)
    found = {one["name"]: one for one in listed_targets(checkout)["runtimes"]}
    assert found["ncnn"]["reason"] == "ncnn is not installed: pip install ncnn"
    assert found["litert"]["available"]


def test_a_board(checkout: Path) -> None:
    (checkout / "targets/board/pine.py").write_text(BOARD)
    line = '"pine": "edgecnn.targets.board.pine",'
    add_line(checkout / "targets/board/target.py", "TARGETS = {", line)
    found = {one["name"]: one for one in listed_targets(checkout)["targets"]}
    assert found["pine"]["runtimes"] == ["litert"]


def test_a_command(checkout: Path) -> None:
    (checkout / "edgecnn/cli/hello.py").write_text(COMMAND)
    add_line(checkout / "edgecnn/cli/__init__.py", "COMMANDS = {", '"hello": "greet",')
    assert edgecnn(checkout, "edgecnn", "hello") == "hello\n"
    assert "greet" in edgecnn(checkout, "edgecnn", "--help")
