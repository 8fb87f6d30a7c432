"""JSON that came from elsewhere: read as it is meant, or refused in a line that names the file."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgecnn import cache, strict_json
from edgecnn.calibration.calibration_set import MANIFEST as CALIBRATION
from edgecnn.calibration.calibration_set import CalibrationSet
from edgecnn.checkpoint import MANIFEST as CHECKPOINT
from edgecnn.checkpoint import MODEL, Checkpoint
from edgecnn.comparison import compare
from edgecnn.errors import DataError, DeployError, EdgeCnnError, WeightsError
from edgecnn.preprocessing import Preprocessing
from edgecnn.targets.deploy import remote
from edgecnn.targets.engines import choice
from edgecnn.targets.profiling import baseline
from edgecnn.training.run import RUN, Run
from edgecnn.training.settings import Settings
from edgecnn.training.state import STATE, RunState
from edgecnn.weights import pins

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
Read = Callable[[Path], object]


def put(folder: Path, name: str, data: bytes | None) -> None:
    if data is not None:
        (folder / name).write_bytes(data)


def checkpoint(folder: Path) -> object:
    put(folder, MODEL, b"")
    put(folder, "labels.txt", b"a\nb\n")
    return Checkpoint.load(folder)


def calibration(folder: Path) -> object:
    put(folder, "a.png", b"")
    return CalibrationSet.load(folder)


def compared(folder: Path) -> object:
    new = folder / "new.json"
    new.write_text(json.dumps(REPORT))
    return compare(folder / "old.json", new)


def pinned(folder: Path) -> object:
    file = folder / "model.safetensors"
    file.write_bytes(b"")
    pins.check("timm/x/model.safetensors", file)
    return None


REPORT = {"data": "d", "count": 5, "artifacts": {"onnx": {"top1": 0.9}}}
ROW = {
    **{"epoch": 1, "phase": "all", "loss": 1.5, "accuracy": 0.5, "val_loss": 1.5},
    **{"val_accuracy": 0.5, "learning_rate": 0.1, "seconds": 2.0},
}
READERS: dict[str, tuple[str, dict[str, Any], Read, type[EdgeCnnError], str]] = {
    "a checkpoint": (
        CHECKPOINT,
        {
            "schema": 1,
            "architecture": "lenet5",
            "preprocessing": Preprocessing(16, 16).to_json(),
            "created_at": "2026-01-01",
            "test": {"top1": 0.9},
            "qat": {"sha256": EMPTY},
        },
        checkpoint,
        DataError,
        "train anew",
    ),
    "a run": (
        RUN,
        {
            "architecture": "lenet5",
            "sources": ["digits"],
            "settings": Settings().to_json(),
            "dataset_sha256": EMPTY,
        },
        Run.load,
        DataError,
        "Train again",
    ),
    "a run's state": (
        STATE,
        {"phase": 0, "history": [ROW], "last": "a.h5", "best": "a.h5", "best_epoch": 1},
        RunState.load,
        DataError,
        "train again",
    ),
    "a calibration set": (
        CALIBRATION,
        {
            "schema": 1,
            "name": "n",
            "origin": "o",
            "pictures": [{"file": "a.png", "sha256": EMPTY, "held_out": False, "label": "x"}],
        },
        calibration,
        DataError,
        "edgecnn calibrate` again",
    ),
    "a report": ("old.json", REPORT, compared, DataError, "--json"),
    "pins": (
        pins.PINS,
        {"timm/x/model.safetensors": EMPTY},
        pinned,
        WeightsError,
        "delete it to pin anew",
    ),
}
DAMAGES: dict[str, Callable[[str], bytes]] = {
    "a key twice": lambda text: (text.rstrip()[:-1] + ',"schema":1,"schema":1}').encode(),
    "cut off": lambda text: text[: len(text) // 2].encode(),
    "nothing": lambda text: b"",
    "deep lists": lambda text: b"[" * 200_000,
    "deep objects": lambda text: b'{"a":' * 100_000,
    "a long number": lambda text: (text.rstrip()[:-1] + ',"a":' + "9" * 10_000 + "}").encode(),
    "infinity": lambda text: (text.rstrip()[:-1] + ',"a":Infinity}').encode(),
    "no number": lambda text: (text.rstrip()[:-1] + ',"a":NaN}').encode(),
    "a number past all": lambda text: (text.rstrip()[:-1] + ',"a":1e999}').encode(),
    "not UTF-8": lambda text: (text.rstrip()[:-1]).encode() + b',"\xff":1}',
    "a terminal's command": lambda text: (text.rstrip()[:-1] + ',"a":"\\u001b[2J"}').encode(),
    "a list": lambda text: b"[1]",
    "a number": lambda text: b"5",
    "a word": lambda text: b'"x"',
    "null": lambda text: b"null",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", READERS)
def test_what_is_no_file_of_ours_is_refused(
    kind: str, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, known, read, error, way_out = READERS[kind]
    monkeypatch.setenv("EDGECNN_CACHE", str(tmp_path))
    file = tmp_path / name
    file.write_text(json.dumps(known))
    assert read(tmp_path) is None or kind != "pins"  # it is read as it was written
    file.write_bytes(DAMAGES[damage](json.dumps(known)))
    with pytest.raises(error) as caught:
        read(tmp_path)
    message = str(caught.value)
    assert str(file) in message
    assert way_out in message
    assert message.isprintable()
    assert len(message) < 600


@pytest.mark.parametrize("kind", READERS)
def test_values_of_another_kind_are_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, known, read, error, _ = READERS[kind]
    monkeypatch.setenv("EDGECNN_CACHE", str(tmp_path))
    for key in known.keys() - {"schema", "count", "data"}:
        others: tuple[Any, ...] = (None, True, -1, [[]], {"": None}, "x")
        for other in others:
            none_yet = other is None and key in ("last", "best")
            if type(other) is type(known[key]) or none_yet:
                continue
            (tmp_path / name).write_text(json.dumps(known | {key: other}))
            with pytest.raises(error) as caught:
                print(key, other, read(tmp_path))
            assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_kept_and_is_damaged_is_measured_anew(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGECNN_CACHE", str(tmp_path))
    kept = {"tried": [{"runtime": "litert", "threads": 1, "p90_ms": 2.0}], "counts": [1]}
    cache.write(choice._name({}), kept)
    assert choice._read({}).tried
    (tmp_path / choice._name({})).write_bytes(DAMAGES[damage](json.dumps(kept)))
    assert not choice._read({}).tried
    entry = {"peak_bytes": 1, "operators": 1, "operator_bytes": 1, "provenance": {}}
    cache.write(baseline.FILE, [entry])
    assert baseline._read()
    (tmp_path / baseline.FILE).write_bytes(DAMAGES[damage](json.dumps(entry)))
    assert not baseline._read()


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_a_board_answers(damage: str) -> None:
    said = DAMAGES[damage](json.dumps({"current": "a", "previous": None})).decode(errors="replace")
    with pytest.raises(DeployError) as caught:
        remote._record(remote.Release, remote._answer(SimpleNamespace(stdout=said, returncode=0)))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_size_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_json, "LARGEST", 1 << 20)
    file = tmp_path / "endless.json"
    file.write_bytes(b'"' + b"a" * (1 << 20) + b'"')
    with pytest.raises(ValueError, match="more than 1 MB"):
        strict_json.read(file)
    with pytest.raises(ValueError, match="more than 1 MB"):
        strict_json.read(Path("/dev/zero"))


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("a run's state", {"last": "../../elsewhere.h5"}),
        ("a run's state", {"best": "/etc/hostname"}),
        ("a run's state", {"best_epoch": 2}),
        ("a run's state", {"history": [5]}),
        ("a run's state", {"history": [{"epoch": 1}]}),
        ("a run's state", {"history": [ROW | {"val_loss": "low"}]}),
        ("a calibration set", {"pictures": [{"file": "../a.png", "sha256": EMPTY}]}),
        ("a calibration set", {"pictures": [{"file": "/dev/zero", "sha256": EMPTY}]}),
        ("a checkpoint", {"test": {"top1": None}}),
        ("a checkpoint", {"qat": {"sha256": 5}}),
    ],
)
def test_what_reaches_out_or_makes_no_sense(
    kind: str, change: dict[str, Any], tmp_path: Path
) -> None:
    name, known, read, error, _ = READERS[kind]
    (tmp_path / name).write_text(json.dumps(known | change))
    with pytest.raises(error) as caught:
        read(tmp_path)
    assert str(tmp_path / name) in str(caught.value)
