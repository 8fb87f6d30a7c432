"""What `edgecnn show` shows is what the bundle, its engines and Keras say."""

import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from edgecnn.album import FLOAT, Album, small
from edgecnn.bundle import Bundle
from edgecnn.checkpoint import Checkpoint
from edgecnn.cli.show import command
from edgecnn.errors import BundleError, DataError, UnknownName
from edgecnn.export.album import cases, places_of_worst
from edgecnn.export.evaluate import evaluate
from edgecnn.export.feature_maps import feature_maps
from edgecnn.export.show import Show
from edgecnn.golden import Golden
from edgecnn.head import SOFTMAX, Head


class Addresses(HTMLParser):
    """Of all that a page asks for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href")]


@pytest.fixture(scope="module")
def digit(lenet5_run: Path) -> Path:
    return min((lenet5_run / "calibration").glob("*.png"))


def test_the_page_holds_all_its_pictures(lenet5_bundle: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = CliRunner().invoke(command, [str(lenet5_bundle), "--html", str(page)])
    assert done.exit_code == 0, done.output
    assert "held-out pictures of the export" in done.output
    text = page.read_text()
    addresses = Addresses(text).found
    pictures = [one for one in addresses if one.startswith("data:image/jpeg;base64,")]
    bundle = Bundle.load(lenet5_bundle)
    assert bundle.golden is not None
    golden = len(Golden.load(bundle.golden).images)
    count = bundle.manifest["calibration"]["count"]
    assert len(pictures) == len(range(0, count, -(-count // 48))) + 12 + golden
    assert all(one.startswith("data:") for one in addresses)
    assert "export again with --explain" in text


def test_the_album_has_the_answers_of_the_held_out_pictures(lenet5_bundle: Path) -> None:
    bundle = Bundle.load(lenet5_bundle)
    album = Album.load(bundle)
    assert album is not None
    assert {tuple(case.answers) for case in album.worst} == {(FLOAT, *bundle.artifacts)}
    for name, artifact in bundle.artifacts.items():
        told = artifact.details["verification"]
        differ = sum(case.answers[FLOAT].label != case.answers[name].label for case in album.worst)
        assert differ == min(12, round((1 - told["agreement_top1"]) * told["count"]))
    wrong = sum(case.answers[FLOAT].label != case.truth for case in album.worst)
    assert wrong == min(12, round((1 - told["reference_top1"]) * told["count"]))
    (confusion,) = {
        c.counts.tobytes(): c for c in Show.of(bundle.path).confusions.values()
    }.values()
    assert confusion.counts.trace() == round(told["top1"] * told["count"])
    assert confusion.counts.sum() == told["count"]


def test_mistakes_on_pictures_of_ones_own_are_those_that_evaluate_counts(
    lenet5_bundle: Path,
) -> None:
    judged = evaluate(lenet5_bundle, "digits")
    shown = Show.of(lenet5_bundle, "digits")
    for name, result in judged.results.items():
        confusion = shown.confusions[name]
        assert confusion.counts.sum() == judged.count
        assert confusion.counts.trace() == round(result.accuracy.top1 * judged.count)
        wrong = judged.count - confusion.counts.trace()
        assert f"{name} gets {wrong} wrong" in shown.judged
    assert "otherwise than float" in shown.judged
    assert len(shown.worst) == 12


def test_feature_maps_are_those_of_keras(
    lenet5_bundle: Path, lenet5_run: Path, digit: Path
) -> None:
    import keras

    bundle = Bundle.load(lenet5_bundle)
    shown = Show.of(bundle.path, picture=digit, layers=["c1", "s4"])
    assert shown.picture is not None
    _, image = shown.picture
    model = Checkpoint.load(lenet5_run).load_model()
    inside = keras.Model(model.input, model.get_layer("s4").output)
    pixels = image.astype(np.float32)
    mean, std = bundle.preprocessing.mean[0], bundle.preprocessing.std[0]
    expected = np.asarray(inside((pixels - mean) / std))[0].transpose(2, 0, 1)
    c1, s4 = shown.maps
    assert s4.expected is not None
    np.testing.assert_allclose(s4.expected, expected, atol=1e-5)
    for one, shape in ((c1, (6, 28, 28)), (s4, (16, 5, 5))):
        assert one.found is not None
        assert one.found.shape == shape
        assert one.sqnr_db is not None
        assert 25 < one.sqnr_db < 80
    page = shown.page()
    assert len(re.findall(r"data:image/png", page)) == 4
    assert "c1: 28×28×6" in page


def test_layers_without_maps_are_refused(lenet5_bundle: Path) -> None:
    bundle = Bundle.load(lenet5_bundle)
    image = np.zeros(bundle.preprocessing.shape, np.uint8)
    with pytest.raises(UnknownName, match="did you mean 'c3'"):
        feature_maps(bundle, image, ["c33"], [], reference=False)
    with pytest.raises(DataError, match="'f6' has no feature maps"):
        feature_maps(bundle, image, ["f6"], [], reference=False)
    (only,) = feature_maps(bundle, image, ["c3"], [], reference=False)
    assert only.expected is None
    assert only.sqnr_db is None
    done = CliRunner().invoke(command, [str(lenet5_bundle), "--layer", "c1"])
    assert done.exit_code == 2
    assert "--picture FILE" in done.output


def test_bundles_of_before_are_shown_too(write_head, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    verification = {"count": 8, "agreement_top1": 1.0, "max_abs_error": 0.0}
    bundle = write_head(tmp_path / "b", Head.of("sigmoid", 3), "red", "green", "blue")
    read = Bundle.load(bundle)
    with pytest.raises(BundleError, match="says too little to show it"):
        Show.of(bundle).page()
    for artifact in read.manifest["artifacts"].values():
        artifact["verification"] = verification
    read.manifest["calibration"] = {
        **{"count": 0, "name": "none", "origin": "", "held_out": 8, "representative": True}
    }
    read.manifest.update(created_at="then", created_by="edgecnn")
    text = Show(read, None, "", (), {}, "").page()
    assert "This bundle keeps none" in text
    assert "onnx" in text


def test_the_worst_come_first() -> None:
    expected = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.2, 0.8]], np.float32)
    found = np.array([[0.7, 0.3], [0.4, 0.6], [0.8, 0.2], [0.2, 0.8]], np.float32)
    truths = np.array([0, 0, 1, 1])
    places = places_of_worst(expected, {"tflite": found}, truths, SOFTMAX)
    # The answer that is another, the one that is wrong, the one that moved, the one that did not.
    assert places.tolist() == [1, 2, 0, 3]
    assert places_of_worst(None, {"tflite": found}, truths, SOFTMAX).tolist() == [2, 1, 3, 0]
    assert places_of_worst(None, {}, truths, SOFTMAX).tolist() == []


def test_labels_that_hold_are_named_together() -> None:
    images = np.zeros((2, 4, 4, 1), np.uint8)
    values = np.array([[0.9, 0.6, 0.1], [0.2, 0.1, 0.3]], np.float32)
    truths = np.array([[True, True, False], [False, False, False]])
    both, none = cases(
        images, None, {"onnx": values}, truths, ("a", "b", "c"), Head.of("sigmoid", 3)
    )
    assert (both.truth, none.truth) == ("a and b", "none")
    assert both.answers["onnx"].label == "a and b"
    assert both.answers["onnx"].probability == pytest.approx(0.6)
    assert none.answers["onnx"].label == "none"
    assert none.answers["onnx"].probability == pytest.approx(0.7)


def test_an_album_comes_back_as_it_was(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    flat = rng.integers(0, 255, (14, 1, 1, 3)).astype(np.uint8)
    images = small(np.broadcast_to(flat, (14, 200, 100, 3)))
    assert images[0].shape == (96, 48, 3)
    worst = cases(
        np.broadcast_to(flat[:1], (1, 200, 100, 3)),
        None,
        {"onnx": np.array([[0.9, 0.1]], np.float32)},
        np.array([0]),
        ("a", "b"),
        SOFTMAX,
    )
    told = Album(tuple(images), tuple(worst)).write(tmp_path)

    class Known:
        manifest = {"shown": told}  # noqa: RUF012
        album = tmp_path / "album.jpg"

    found = Album.load(Known)  # type: ignore[arg-type]
    assert found is not None
    assert len(found.calibration) == 14
    for was, now in zip(images, found.calibration, strict=True):
        inside = was.astype(int) - now  # JPEG mixes the colours at the edges
        assert np.abs(inside[2:-2, 2:-2]).max() <= 3
    assert found.worst[0].answers == worst[0].answers
    Known.manifest = {"shown": told | {"calibration": 47}}
    with pytest.raises(BundleError, match="fewer pictures"):
        Album.load(Known)  # type: ignore[arg-type]
    cv2.imwrite(str(Known.album), np.zeros((8, 8, 3), np.uint8))
    Known.manifest = {"shown": told}
    with pytest.raises(BundleError, match="Export again"):
        Album.load(Known)  # type: ignore[arg-type]
