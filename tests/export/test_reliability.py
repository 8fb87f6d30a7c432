"""What answers are worth: probabilities that mean what they say, and promises that hold."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy import stats

from edgecnn.binomial import beta_quantile, interval
from edgecnn.bundle import MANIFEST, Bundle
from edgecnn.errors import EdgeCnnError
from edgecnn.export.held_out import HeldOut
from edgecnn.export.promises import Promises
from edgecnn.export.reliability import CalibrationError, Claims, Fitted, temperature
from edgecnn.head import Head
from edgecnn.reliability import (
    Coverage,
    Rank,
    Reliability,
    TooFewPictures,
    log_odds,
    prominence,
    tempered,
)
from edgecnn.targets.answer import AnswerOptions
from edgecnn.targets.classifier import load

SOFTMAX = Head()


def answers(count: int, classes: int, too_sure: float, seed: int = 0) -> tuple[Any, Any]:
    """Probabilities of a network whose logits are `too_sure` times what they should be."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (count, classes)).astype(np.float32)
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    shown = (truth.cumsum(axis=1) > rng.random((count, 1))).argmax(axis=1)
    return tempered(truth, 1 / too_sure, SOFTMAX), shown


def fitted(values: Any, expected: Any, classes: Any, head: Head = SOFTMAX) -> Fitted:
    images = np.zeros((len(values), 4, 4, 1), np.uint8)
    return Fitted.of(HeldOut(images, expected, classes), values, head)


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (10, 10), (3, 40), (95, 100), (4990, 5000)])
def test_intervals_are_scipys(hits: int, count: int) -> None:
    exact = stats.binomtest(hits, count).proportion_ci(method="exact")
    assert interval(hits, count) == pytest.approx((exact.low, exact.high), abs=1e-9)
    assert beta_quantile(hits + 1, 7, 0.3) == pytest.approx(stats.beta(hits + 1, 7).ppf(0.3))


@pytest.mark.parametrize("too_sure", [0.5, 1.0, 3.0])
def test_the_temperature_is_found(too_sure: float) -> None:
    values, shown = answers(4000, 10, too_sure)
    found = temperature(values, np.eye(10)[shown], SOFTMAX)
    assert found == pytest.approx(too_sure, rel=0.1)
    calibrated = tempered(values, found, SOFTMAX)
    assert (calibrated.argmax(axis=1) == values.argmax(axis=1)).all()
    np.testing.assert_allclose(calibrated.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("kind", ["sigmoid", "binary"])
def test_labels_that_hold_or_not_are_calibrated_too(kind: Any) -> None:
    outputs = 1 if kind == "binary" else 3
    head = Head.of(kind, outputs)
    rng = np.random.default_rng(0)
    truth = rng.random((4000, outputs)).astype(np.float32)
    holds = rng.random(truth.shape) < truth
    classes = holds[:, 0].astype(int) if kind == "binary" else holds
    values = tempered(truth, 0.4, head)
    found = fitted(values, values, classes, head)
    assert found.reliability.temperature == pytest.approx(2.5, rel=0.1)
    assert found.details["calibrated"]["ece"] < found.details["raw"]["ece"] / 4
    calibrated = found.reliability.calibrated(values, head)
    assert (head.holds(calibrated) == head.holds(values)).all()


def test_a_network_that_was_never_wrong_is_not_sure_beyond_its_pictures() -> None:
    values = np.tile(np.array([0.7, 0.2, 0.1], np.float32), (60, 1))
    found = temperature(values, np.eye(3)[np.zeros(60, int)], SOFTMAX)
    assert 0.97 < tempered(values[0], found, SOFTMAX).max() < 0.999


def test_without_labels_the_float_network_is_what_is_matched() -> None:
    values, _ = answers(500, 10, 3.0)
    expected, _ = answers(500, 10, 1.5)
    found = fitted(values, expected, None)
    assert found.reliability.basis == "float network"
    assert found.reliability.temperature == pytest.approx(2, rel=0.05)
    with pytest.raises(EdgeCnnError, match="--held-out"):
        found.reliability.lowest(Coverage(0.9), ("a",) * 10)


def test_the_calibration_error_by_hand() -> None:
    values = np.array([[0.9, 0.1]] * 10 + [[0.3, 0.7]] * 10, np.float32)
    shown = np.array([0] * 6 + [1] * 4 + [1] * 7 + [0] * 3)
    found = CalibrationError.of(values, shown, SOFTMAX)
    assert found.error == pytest.approx(0.5 * 0.3)
    assert found.interval[0] < 0.15 < found.interval[1]
    assert sum(count for count, _, _ in found.bins) == 20


@pytest.mark.parametrize("count", [100, 2000])
def test_perfect_probabilities_show_the_error_of_chance(count: int) -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(30):
        sure = rng.beta(4, 1, (count, 1))
        claims = Claims(sure, rng.random((count, 1)) < sure)
        found.append(CalibrationError.of_claims(claims))
    error = np.mean([one.error for one in found])
    assert error == pytest.approx(np.mean([one.chance for one in found]), rel=0.1)


def test_coverage_is_what_was_promised_over_many_splits() -> None:
    """Marginally, and for each class, as exactly as the finite sample says."""
    values, shown = answers(4000, 4, 2.0)
    rng = np.random.default_rng(1)
    for coverage in (Coverage(0.9), Coverage(0.95, each=True)):
        covered = []
        for _ in range(200):
            order = rng.permutation(len(values))
            own, others = order[:300], order[300:]
            true = values[own, shown[own]]
            known = Reliability(
                1, "labels", true, shown[own].astype(np.int32), np.empty(0, np.float32)
            )
            possible = values[others] >= known.lowest(coverage, tuple("abcd"))
            covered.append(possible[np.arange(len(others)), shown[others]].mean())
        mean, error = np.mean(covered), 3 * np.std(covered) / 200**0.5
        assert coverage.share - error <= mean
        if not coverage.each:
            assert mean <= coverage.share + 1 / 301 + error
            low, high = Rank.of(0.1, 300).interval
            inside = np.mean([low <= share <= high for share in covered])
            assert inside == pytest.approx(0.9, abs=0.07)


@pytest.mark.parametrize(("share", "needed"), [(0.95, 19), (0.99, 99), (0.9, 9)])
def test_too_few_pictures_are_refused_with_the_number_needed(share: float, needed: int) -> None:
    Rank.of(1 - share, needed)
    with pytest.raises(TooFewPictures, match=f"takes {needed} held-out pictures"):
        Rank.of(1 - share, needed - 1)


@pytest.mark.parametrize("text", ["95", "95%%", "most", "each:", "any:95%", "0%", "100%", "nan"])
def test_a_coverage_that_is_none(text: str) -> None:
    with pytest.raises(EdgeCnnError, match="--coverage"):
        Coverage.parse(text)


def digit(number: int) -> Any:
    from sklearn.datasets import load_digits

    return (load_digits().images[number] * 15.9).astype(np.uint8)


@pytest.mark.parametrize("runtime", ["litert", "onnxruntime", "openvino"])
def test_what_is_said_is_calibrated_and_raw_is_the_engines(
    lenet5_bundle: Path, runtime: str
) -> None:
    raw = load(lenet5_bundle, runtime, answers=AnswerOptions(raw=True))
    said = load(lenet5_bundle, runtime)
    known = Reliability.load(said.bundle, _format(runtime))
    assert known is not None
    assert known.temperature != 1
    for number in range(8):
        frame = digit(number)
        own, calibrated = raw(frame), said(frame)
        assert own.probabilities is not None
        assert calibrated.probabilities is not None
        np.testing.assert_array_equal(own.probabilities, raw.infer(raw.prepare(frame)))
        np.testing.assert_allclose(
            calibrated.probabilities, tempered(own.probabilities, known.temperature, SOFTMAX)
        )
        assert own.label == calibrated.label


def test_a_picture_is_as_familiar_as_itself_on_any_processor() -> None:
    """Boards round other than the machine that exported: equal may come out a little less."""
    values = np.random.default_rng(0).dirichlet(np.ones(10), 20).astype(np.float32)
    scores = np.array([prominence(log_odds(one, SOFTMAX)) for one in values])
    order = scores.argsort()
    nothing = np.empty(0, np.float32)
    for rounded in (scores, np.nextafter(scores, np.float32(0)), np.nextafter(scores, np.inf)):
        known = Reliability(1, "labels", nothing, np.empty(0, np.int32), np.sort(rounded))
        shares = [known.read(values[place], SOFTMAX)[1] for place in order]
        assert shares == [(1 + place) / 21 for place in range(1, 21)]


def _format(runtime: str) -> str:
    from edgecnn.targets.engines import runtimes

    return runtimes.get(runtime).format


def test_a_set_of_labels_and_unknown(lenet5_bundle: Path) -> None:
    asked = AnswerOptions(coverage=Coverage(0.95), reject=0.02)
    classifier = load(lenet5_bundle, "litert", answers=asked)
    seen = [classifier(digit(number)) for number in range(40)]
    hits = [str(n) in (p.possible or ()) for n, p in zip(_digits(40), seen, strict=True)]
    assert np.mean(hits) > 0.85
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    noise = cv2.GaussianBlur(noise, (0, 0), 3)
    strange = classifier(noise)
    line = strange.to_json()
    assert (line["possible"], strange.answer, strange.unknown) == ([], "unknown", True)
    assert 0 < line["familiarity"] < min(0.05, np.median([p.familiarity for p in seen]))


def _digits(count: int) -> list[int]:
    from sklearn.datasets import load_digits

    return [int(number) for number in load_digits().target[:count]]


def test_more_than_the_pictures_can_promise(lenet5_bundle: Path) -> None:
    with pytest.raises(TooFewPictures, match=r"999 held-out pictures.*rests on 269"):
        load(lenet5_bundle, "litert", answers=AnswerOptions(coverage=Coverage(0.999)))
    with pytest.raises(TooFewPictures, match="99 held-out pictures of '0'"):
        load(lenet5_bundle, "litert", answers=AnswerOptions(coverage=Coverage(0.99, each=True)))


def test_a_bundle_of_before_answers_as_before(lenet5_bundle: Path, tmp_path: Path) -> None:
    old = shutil.copytree(lenet5_bundle, tmp_path / "old")
    manifest = json.loads((old / MANIFEST).read_text())
    (old / manifest.pop("answers")["path"]).unlink()
    (old / MANIFEST).write_text(json.dumps(manifest))
    classifier = load(old, "litert")
    said = classifier(digit(3))
    np.testing.assert_array_equal(
        said.probabilities, classifier.infer(classifier.prepare(digit(3)))
    )
    assert said.familiarity is None
    with pytest.raises(EdgeCnnError, match="export again"):
        load(old, "litert", answers=AnswerOptions(reject=0.01))


def test_a_changed_byte_is_found(lenet5_bundle: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(lenet5_bundle, tmp_path / "broken")
    file = Bundle.load(broken).answers
    assert file is not None
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(EdgeCnnError, match="was changed since export"):
        Bundle.load(broken)


@pytest.mark.parametrize("kind", ["sigmoid", "binary"])
def test_all_labels_that_hold_are_among_those_named(kind: Any) -> None:
    outputs = 1 if kind == "binary" else 4
    head = Head.of(kind, outputs)
    rng = np.random.default_rng(0)
    values = rng.beta(0.5, 0.8, (3000, outputs)).astype(np.float32)
    holds = rng.random(values.shape) < values
    classes = holds[:, 0].astype(int) if kind == "binary" else holds
    known = fitted(values[:500], values[:500], classes[:500], head).reliability
    for covered in Promises.of(
        known, values[500:], known.calibrated(values[500:], head), classes[500:], head
    ).coverage:
        low, high = Rank.of(1 - covered.share, 500).interval
        assert low - 0.01 < covered.covered < high + 0.01
    with pytest.raises(EdgeCnnError, match="--reject needs"):
        known.check_rejection(0.1)


def test_promises_are_judged_on_other_pictures() -> None:
    values, shown = answers(2000, 6, 2.5)
    known = fitted(values[:400], values[:400], shown[:400]).reliability
    said = known.calibrated(values[400:], SOFTMAX)
    found = Promises.of(known, values[400:], said, shown[400:], SOFTMAX)
    assert found.calibrated is not None
    assert found.calibrated.error < found.raw.error / 3
    assert [covered.share for covered in found.coverage] == [0.9, 0.95, 0.99]
    for covered in found.coverage:
        assert covered.covered == pytest.approx(covered.share, abs=0.04)
    few = fitted(values[:60], values[:60], shown[:60]).reliability
    assert [c.share for c in Promises.of(few, values, values, shown, SOFTMAX).coverage] == [
        0.9,
        0.95,
    ]
