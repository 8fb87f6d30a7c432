"""Keras files from strangers: refused in one line, and nothing in them is run."""

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers

from edgecnn.errors import ExportError
from edgecnn.export.keras_file import read_model

Member = tuple[str, bytes]
ATTACK = "touch run-by-a-network"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Member]:
    """What is in a file as Keras writes it."""
    image = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
    path = tmp_path_factory.mktemp("whole") / "whole.keras"
    keras.Model(image, layers.Dense(3, activation="softmax")(x)).save(path)
    with zipfile.ZipFile(path) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def described(change: Callable[[dict[str, Any]], object]) -> Callable[[list[Member]], list[Member]]:
    """The file with another description of the network."""

    def changed(members: list[Member]) -> list[Member]:
        config = json.loads(dict(members)["config.json"])
        change(config)
        return replaced(members, "config.json", json.dumps(config).encode())

    return changed


def replaced(members: list[Member], name: str, data: bytes) -> list[Member]:
    return [(n, data if n == name else d) for n, d in members]


def a_call(config: dict[str, Any]) -> None:
    config.update(module="os", class_name="system", config=ATTACK, registered_name=None)


def a_process(config: dict[str, Any]) -> None:
    config.update(module="subprocess", class_name="Popen", config={"args": ATTACK.split()})


def a_layer_that_is_a_call(config: dict[str, Any]) -> None:
    layer = {"module": "os", "class_name": "system", "config": ATTACK, "name": "x"}
    config["config"]["layers"].append(layer | {"registered_name": None, "inbound_nodes": []})


WEIGHTS = "model.weights.h5"
HOSTILE: dict[str, Callable[[list[Member]], list[Member]]] = {
    "a call": described(a_call),
    "a process": described(a_process),
    "a layer that is a call": described(a_layer_that_is_a_call),
    "a path upwards": lambda members: [*members, ("../escaped", b"x")],
    "a path upwards, of Windows": lambda members: [*members, ("..\\escaped", b"x")],
    "an absolute path": lambda members: [*members, ("/escaped", b"x")],
    "a description of 100 MB": lambda m: replaced(m, "config.json", b" " * (100 << 20)),
    "a description too deep": lambda m: replaced(m, "config.json", b'{"a":' * 100_000),
    "another description": lambda m: replaced(m, "config.json", b"[1, 2]"),
    "no description": lambda m: [one for one in m if one[0] != "config.json"],
    "no weights": lambda m: [one for one in m if one[0] != WEIGHTS],
    "weights of something else": lambda m: replaced(m, WEIGHTS, b"x" * 100),
    "half of the weights": lambda m: replaced(m, WEIGHTS, dict(m)[WEIGHTS][:5000]),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_an_archive(
    kind: str, whole: list[Member], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("own.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in HOSTILE[kind](whole):
            archive.writestr(name, data)
    with pytest.raises(ExportError, match=r"own\.keras"):
        read_model(Path("own.keras"))
    assert os.listdir() == ["own.keras"]
    assert not (tmp_path.parent / "escaped").exists()


class Harmful:
    """An object whose unpickling does something."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (ATTACK,)


@pytest.mark.parametrize("name", ["own.keras", "own.h5", "own.hdf5"])
def test_no_pickle_is_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(ExportError, match=name):
        read_model(Path(name))
    assert os.listdir() == [name]


@pytest.mark.parametrize("name", ["own.keras", "own.h5"])
def test_python_code_in_a_layer_is_not_run(name: str, tmp_path: Path) -> None:
    image = keras.Input((8, 8, 3))
    doubled = layers.Lambda(lambda x: 2 * x)(image)
    pooled = layers.GlobalAveragePooling2D()(doubled)
    keras.Model(image, layers.Dense(3, activation="softmax")(pooled)).save(tmp_path / name)
    with pytest.raises(ExportError, match="whose Python code is not run"):
        read_model(tmp_path / name)
