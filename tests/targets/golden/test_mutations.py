"""Silently wrong is worst: every mistake of a board is found wherever a bundle is opened.

On real networks with each kind of head, in their own engine; a mistake is made in the bundle's
files, in how frames are prepared, in what reaches the engine, or in what the engine computes.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from edgecnn.bundle import MANIFEST, Bundle, describe_file
from edgecnn.errors import EdgeCnnError
from edgecnn.export.evaluate import evaluate
from edgecnn.labels import write_labels
from edgecnn.preprocessing import Frame, FramePreparer
from edgecnn.targets.classifier import load
from edgecnn.targets.deploy import check
from edgecnn.targets.engines import runtimes, trial, trial_worker
from edgecnn.targets.engines.session import Session
from edgecnn.targets.live.outputs import Outputs
from edgecnn.targets.live.runner import run
from edgecnn.targets.profiling.profiler import profile

RUNTIME = "onnxruntime"
Array = NDArray[Any]


SLOW_TOO = [pytest.param(head, marks=pytest.mark.slow) for head in ("sigmoid", "binary")]


@pytest.fixture(scope="module", params=["softmax", *SLOW_TOO])
def head(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def bundle(
    head: str, export_end: Any, parts: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return Path(export_end(head, parts, tmp_path_factory.mktemp("right") / head))


@pytest.fixture(scope="module")
def stale(
    head: str, export_end: Any, parts: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same network, calibrated in the dark."""
    folder = tmp_path_factory.mktemp("stale")
    dark = folder / "dark"
    for path in parts.rglob("*.png"):
        picture = cv2.imread(str(path))
        assert picture is not None
        (dark / path.parent.name).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(dark / path.parent.name / path.name), picture // 2)
    return Path(export_end(head, dark, folder / head))


# Where a bundle is opened


def runs(bundle: Path, pictures: Path) -> None:
    source = str(next(pictures.rglob("*.png")))
    run(bundle, source, Outputs(jsonl=os.devnull), runtime=RUNTIME, threads=1)


def loads(bundle: Path, pictures: Path) -> None:
    load(bundle, RUNTIME, 1)


def profiles(bundle: Path, pictures: Path) -> None:
    profile(bundle, runtimes=RUNTIME, threads=1, runs=1, seconds=0, processes=1)


def deploys(bundle: Path, pictures: Path) -> None:
    check.main(str(bundle), RUNTIME)


def evaluates(bundle: Path, pictures: Path) -> None:
    evaluate(bundle, next(pictures.glob("*.csv")), reference=False, threads=1)


ENTRIES = (runs, loads, profiles, deploys, evaluates)


@pytest.fixture(scope="module")
def pictures(head: str, parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture, with a label that the network has."""
    folder = tmp_path_factory.mktemp("pictures")
    shutil.copy(next((parts / "market").glob("*.png")), folder / "one.png")
    label = {"softmax": "market", "sigmoid": "bright|red", "binary": "market"}[head]
    (folder / "labels.csv").write_text(f"file,label\none.png,{label}\n")
    return folder


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a profile does in a process of its own first of all, it does in this one."""

    def answer(arguments: Mapping[str, Any], *_: object) -> dict[str, float]:
        return trial_worker.measure(**arguments)

    monkeypatch.setattr(trial, "start", lambda _, arguments: arguments)
    monkeypatch.setattr(trial, "answer", answer)
    monkeypatch.setattr("edgecnn.targets.profiling.profiler.measure", Reached.measure)


class Reached(Exception):
    """A profile got beyond the check."""

    @staticmethod
    def measure(*_: object, **__: object) -> dict[str, Any]:
        raise Reached


# Mistakes in the bundle: files that do not belong together, whose hashes are right


def rewritten(bundle: Path, **replaced: Any) -> None:
    manifest = json.loads((bundle / MANIFEST).read_text())
    for part in manifest["artifacts"].values():
        part["files"] = [vars(describe_file(bundle, file["path"])) for file in part["files"]]
    manifest["labels"] = vars(describe_file(bundle, "labels.txt"))
    (bundle / MANIFEST).write_text(json.dumps(manifest | replaced))


def labels(change: Callable[[list[str]], list[str]]) -> Callable[[Path, Path], None]:
    def apply(bundle: Path, stale: Path) -> None:
        write_labels(bundle / "labels.txt", change(list(Bundle.load(bundle).labels)))
        rewritten(bundle)

    return apply


def preparing(**values: Any) -> Callable[[Path, Path], None]:
    def apply(bundle: Path, stale: Path) -> None:
        before = Bundle.load(bundle).preprocessing
        rewritten(bundle, preprocessing=replace(before, **values).to_json())

    return apply


def stale_model(bundle: Path, stale: Path) -> None:
    shutil.copy(stale / "model.onnx", bundle / "model.onnx")
    rewritten(bundle)


def stale_model_and_calibration(bundle: Path, stale: Path) -> None:
    shutil.copy(stale / "model.onnx", bundle / "model.onnx")
    calibration = json.loads((stale / MANIFEST).read_text())["calibration"]
    rewritten(bundle, calibration=calibration)


def other_head(bundle: Path, stale: Path) -> None:
    kind = Bundle.load(bundle).head.kind
    if kind == "softmax":
        rewritten(bundle, head="sigmoid", thresholds=[0.5] * 4)
    else:
        rewritten(bundle, head="softmax", thresholds=[])


IN_FILES = {
    "labels shifted by one": labels(lambda names: names[1:] + names[:1]),
    "another network's labels": labels(lambda names: [f"other {name}" for name in names]),
    "two labels changed places": labels(lambda names: [*names[:-2], names[-1], names[-2]]),
    "a model of another calibration": stale_model,
    "a model and figures of another calibration": stale_model_and_calibration,
    "stretched instead of cut": preparing(resize="stretch"),
    "letterboxed instead of cut": preparing(resize="letterbox"),
    "a smaller part cut out": preparing(crop_fraction=0.8),
    "another input size": preparing(height=48, width=48),
    "grey": preparing(channels=1),
    "outputs read as of another head": other_head,
}


# Mistakes in how a frame is prepared

Prepare = Callable[[FramePreparer, Frame], Frame]
RIGHT: Prepare = FramePreparer.__call__


def resized(how: int) -> Prepare:
    def prepare(self: FramePreparer, frame: Frame) -> Frame:
        p = self.preprocessing
        side = min(frame.shape[:2])
        top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
        cut = frame[top : top + side, left : left + side, ::-1]
        self.buffer[0] = cv2.resize(cut, (p.width, p.height), interpolation=how)
        return self.buffer

    return prepare


def uncentred(self: FramePreparer, frame: Frame) -> Frame:
    side = min(frame.shape[:2])
    return RIGHT(self, np.ascontiguousarray(frame[:side, :side]))


IN_PREPARING: dict[str, Prepare] = {
    "red and blue swapped": lambda self, frame: RIGHT(self, frame)[..., ::-1].copy(),
    "the nearest pixel taken": resized(cv2.INTER_NEAREST),
    "shrunk without averaging": resized(cv2.INTER_CUBIC),
    "cut from the corner": uncentred,
    "turned": lambda self, frame: RIGHT(self, np.ascontiguousarray(frame.swapaxes(0, 1))),
    "upside down": lambda self, frame: RIGHT(self, np.ascontiguousarray(frame[::-1])),
    "mirrored": lambda self, frame: RIGHT(self, np.ascontiguousarray(frame[:, ::-1])),
    "scaled to 0..1": lambda self, frame: RIGHT(self, frame) // 255,
    "stuck at the frame before": lambda self, frame: self.buffer.copy(),
}


# Mistakes between the picture and the engine, in its computation, and in what it gives

Infer = Callable[[Callable[[Array], Array], Array], Array]


def sharper(infer: Callable[[Array], Array], image: Array) -> Array:
    """Another version, whose last layer is scaled otherwise."""
    p = np.clip(infer(image).astype(np.float64), 1e-6, 1 - 1e-6)
    if len(p) == 4:
        return (p**3 / (p**3).sum()).astype(np.float32)
    return np.asarray(1 / (1 + ((1 - p) / p) ** 3), np.float32)


class OldAnswer:
    """Gives the first picture's answer for ever, as a buffer does that nobody fills."""

    def __init__(self) -> None:
        self.first: Array | None = None

    def __call__(self, infer: Callable[[Array], Array], image: Array) -> Array:
        if self.first is None:
            self.first = infer(image)
        return self.first


def shifted(infer: Callable[[Array], Array], image: Array) -> Array:
    given = infer(image)
    return 1 - given if len(given) == 1 else np.roll(given, 1)


IN_ENGINE: dict[str, Callable[[], Infer]] = {
    "red and blue swapped": lambda: lambda infer, image: infer(image[..., ::-1].copy()),
    "rows and columns swapped": lambda: lambda infer, image: infer(image.swapaxes(1, 2).copy()),
    "channels first": lambda: (
        lambda infer, image: infer(image.transpose(0, 3, 1, 2).reshape(image.shape))
    ),
    "normalised twice": lambda: (
        lambda infer, image: infer(((image / 127.5 - 1).clip(0) + 0.5).astype(np.uint8))
    ),
    "scaled to 0..1": lambda: lambda infer, image: infer(image // 255),
    "signed bytes read as unsigned": lambda: lambda infer, image: infer(image ^ 0x80),
    "an answer of before": OldAnswer,
    "answers shifted": lambda: shifted,
    "no numbers": lambda: lambda infer, image: infer(image) * np.float32(np.nan),
    "always the same": lambda: lambda infer, image: np.full_like(infer(image), 0.5),
    "logits for probabilities": lambda: lambda infer, image: np.log(infer(image) + 1e-6),
    "half of the values": lambda: lambda infer, image: infer(image)[: len(infer(image)) // 2],
    "another version's last layer": lambda: sharper,
}


# Mistakes in the engine's arithmetic: a real engine with a layer that is computed wrongly


def changed(model: Path, out: Path, change: Callable[[str, Array], Array | None]) -> Path:
    """The ONNX model with other constants; at least one of them changes."""
    proto = onnx.load(model)
    count = 0
    for constant in proto.graph.initializer:
        value = numpy_helper.to_array(constant)
        other = change(constant.name, value)
        if other is not None and not np.array_equal(other, value):
            constant.CopyFrom(numpy_helper.from_array(other.astype(value.dtype), constant.name))
            count += 1
    assert count, "nothing was changed"
    onnx.save(proto, out)
    return out


def saturates(name: str, value: Array) -> Array | None:
    """Products that do not fit are cut off, as in 16 bits."""
    return np.clip(value, -48, 48) if value.dtype == np.int8 and value.ndim == 4 else None


def without_bias(name: str, value: Array) -> Array | None:
    return np.zeros_like(value) if value.dtype == np.int32 and value.ndim == 1 else None


def without_zero_points(name: str, value: Array) -> Array | None:
    return np.full_like(value, 0) if value.dtype in (np.uint8, np.int8) and value.ndim < 1 else None


def one_scale_for_all(name: str, value: Array) -> Array | None:
    """Per-channel scales are not known to it."""
    many = value.dtype == np.float32 and value.ndim == 1 and len(value) > 1
    return np.full_like(value, value.max()) if many else None


IN_ARITHMETIC: dict[str, Callable[[str, Array], Array | None]] = {
    "sums that saturate": saturates,
    "biases left out": without_bias,
    "zero points left out": without_zero_points,
    "one scale for all channels": one_scale_for_all,
}


@contextmanager
def prepared_by(prepare: Prepare) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FramePreparer, "__call__", prepare)
        yield


@contextmanager
def an_engine(
    infer: Infer | None = None, model: Callable[[Path], Path] = lambda path: path
) -> Iterator[None]:
    engine = runtimes.get(RUNTIME)
    opened = engine.open

    def open_other(path: Path, threads: int) -> Session:
        session = opened(model(path), threads)
        if infer is not None:
            right = session.infer
            vars(session)["infer"] = lambda image: infer(right, image)
        return session

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(engine), "open", lambda self, *given: open_other(*given), raising=True)
        yield


def undetected(bundle: Path, pictures: Path) -> list[str]:
    """The entries that let it pass."""
    passed = []
    for entry in ENTRIES:
        try:
            entry(bundle, pictures)
        except (EdgeCnnError, SystemExit):
            continue
        except Reached:
            pass
        passed.append(entry.__name__)
    return passed


def test_what_is_right_passes(bundle: Path, pictures: Path) -> None:
    assert undetected(bundle, pictures) == [entry.__name__ for entry in ENTRIES]


@pytest.mark.parametrize("mistake", IN_FILES)
def test_files_that_do_not_belong_together(
    bundle: Path, stale: Path, pictures: Path, tmp_path: Path, mistake: str
) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    IN_FILES[mistake](copy, stale)
    assert undetected(copy, pictures) == []


@pytest.mark.parametrize("mistake", IN_PREPARING)
def test_frames_prepared_otherwise(bundle: Path, pictures: Path, mistake: str) -> None:
    with prepared_by(IN_PREPARING[mistake]):
        assert undetected(bundle, pictures) == []


@pytest.mark.parametrize("mistake", IN_ENGINE)
def test_an_engine_that_is_fed_or_answers_otherwise(
    bundle: Path, pictures: Path, mistake: str
) -> None:
    with an_engine(IN_ENGINE[mistake]()):
        assert undetected(bundle, pictures) == []


@pytest.mark.parametrize("mistake", IN_ARITHMETIC)
def test_an_engine_that_computes_otherwise(
    bundle: Path, pictures: Path, tmp_path: Path, mistake: str
) -> None:
    def wrong(model: Path) -> Path:
        return changed(model, tmp_path / "wrong.onnx", IN_ARITHMETIC[mistake])

    with an_engine(model=wrong):
        assert undetected(bundle, pictures) == []
