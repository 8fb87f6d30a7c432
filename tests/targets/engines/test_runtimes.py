import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgecnn import installed
from edgecnn.errors import BundleError, RuntimeUnavailable, UnknownName
from edgecnn.targets.board.generic import Generic
from edgecnn.targets.board.machine import Machine
from edgecnn.targets.classifier import Classifier, load
from edgecnn.targets.engines import probe, runtimes
from edgecnn.targets.engines.loading import choose_runtime
from edgecnn.targets.engines.session import check_contract

every_runtime = pytest.mark.parametrize("runtime", runtimes.RUNTIMES)
COLOURS = {"red": (0, 0, 255), "green": (0, 255, 0), "blue": (255, 0, 0)}


@every_runtime
@pytest.mark.parametrize("colour", COLOURS)
def test_a_coloured_frame_is_told(colour_bundle: Path, runtime: str, colour: str) -> None:
    classifier = load(colour_bundle, runtime, threads=1)
    prediction = classifier(np.full((48, 64, 3), COLOURS[colour], np.uint8))
    assert prediction.label == colour
    assert prediction.probability > 0.9
    assert [t.probability for t in prediction.top] == sorted(
        (t.probability for t in prediction.top), reverse=True
    )


@every_runtime
def test_infer_returns_a_row_of_its_own(colour_bundle: Path, runtime: str) -> None:
    classifier = load(colour_bundle, runtime, threads=1)
    picture = np.zeros(classifier.session.input_shape, np.uint8)
    picture[..., 0] = 255
    first = classifier.infer(picture)
    kept = first.copy()
    classifier.infer(255 - picture)
    assert first.dtype == np.float32
    assert first.shape == (3,)
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(classifier.infer(picture), kept)
    assert first.sum() == pytest.approx(1, abs=0.02)


@every_runtime
def test_the_probe_runs(runtime: str) -> None:
    assert probe.why_not(runtime) is None


@every_runtime
def test_a_file_that_is_no_model_is_one_clear_line(tmp_path: Path, runtime: str) -> None:
    model = tmp_path / "model.xml"
    model.write_bytes(b"not a model")
    with pytest.raises(RuntimeUnavailable, match="cannot open"):
        runtimes.get(runtime).open(model, 1)


@every_runtime
def test_a_picture_of_the_wrong_size_is_refused(colour_bundle: Path, runtime: str) -> None:
    with pytest.raises(RuntimeUnavailable, match="failed"):
        load(colour_bundle, runtime).infer(np.zeros((1, 8, 8, 3), np.uint8))


@pytest.mark.parametrize(
    ("taken", "given"),
    [
        (("float32", (1, 8, 8, 3)), ("float32", (1, 3))),
        (("uint8", (-1, 8, 8, 3)), ("float32", (1, 3))),
        (("uint8", (1, 3, 8, 8)), ("float32", (1, 3))),
        (("uint8", (1, 8, 8, 3)), ("int8", (1, 3))),
        (("uint8", (1, 8, 8, 3)), ("float32", (1, 3, 1, 1))),
    ],
)
def test_models_outside_the_pixel_contract(
    taken: tuple[str, tuple[int, ...]], given: tuple[str, tuple[int, ...]]
) -> None:
    with pytest.raises(RuntimeUnavailable, match="edgecnn runs models that take uint8"):
        check_contract(Path("model"), [taken], [given])


def test_labels_that_do_not_fit_the_model(tmp_path: Path, colour_bundle: Path) -> None:
    classifier = load(colour_bundle, "litert")
    bundle = classifier.bundle
    other = type(bundle)(**{**vars(bundle), "labels": ("one", "two")})
    with pytest.raises(BundleError, match=r"3 values.*2 labels"):
        Classifier(other, "litert", classifier.session)


def test_auto_takes_the_first_that_the_bundle_and_the_board_have(
    tmp_path: Path, colour_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = load(colour_bundle, "litert")
    board = Generic(Machine())
    assert choose_runtime(classifier.bundle, board) == "litert"
    monkeypatch.setattr(runtimes, "missing", lambda name: "not here" if name == "litert" else None)
    assert choose_runtime(classifier.bundle, board) == "onnxruntime"
    monkeypatch.setattr(runtimes, "missing", lambda _: "not here")
    with pytest.raises(RuntimeUnavailable, match="litert: not here; onnxruntime: not here"):
        choose_runtime(classifier.bundle, board)


def test_a_format_the_bundle_lacks(tmp_path: Path, write_bundle: Callable[..., Path]) -> None:
    bundle = write_bundle(tmp_path / "one")
    manifest = json.loads((bundle / "manifest.json").read_text())
    del manifest["artifacts"]["onnx"]
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RuntimeUnavailable, match="--format onnx"):
        load(bundle, "onnxruntime")


def test_an_unknown_runtime_names_the_nearest(colour_bundle: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'openvino'"):
        load(colour_bundle, "openvin")


@pytest.mark.parametrize(
    ("there", "message"),
    [
        ({"numpy": "2.4.6"}, "LiteRT is not installed"),
        ({"numpy": "2.4.6", "tflite-runtime": "2.14.0"}, "numpy<2"),
    ],
)
def test_litert_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, there: dict[str, str], message: str
) -> None:
    def version(name: str) -> str:
        if name not in there:
            raise ModuleNotFoundError(name)
        return there[name]

    monkeypatch.setattr(installed, "version", version)
    with pytest.raises(RuntimeUnavailable, match=message):
        runtimes.get("litert").engine()


def test_tflite_runtime_is_taken_with_numpy_1(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"numpy": "1.26.4", "tflite-runtime": "2.14.0"}

    def version(name: str) -> str:
        if name not in versions:
            raise ModuleNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(installed, "version", version)
    assert runtimes.get("litert").engine() == "tflite-runtime 2.14.0"


@pytest.mark.parametrize("name", ["ai-edge-litert", "numpy", "opencv-python", "PyYAML"])
def test_a_version_is_the_one_that_the_package_tells(name: str) -> None:
    from importlib import metadata

    try:
        told = metadata.version(name)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{name} is not installed")
    assert installed.version(name) == told


def test_a_package_that_is_not_there_has_no_version() -> None:
    with pytest.raises(ModuleNotFoundError):
        installed.version("no-such-engine")
