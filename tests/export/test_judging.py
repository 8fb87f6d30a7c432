"""Accuracy of networks that end in yes or no, or in labels that each hold or not."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgecnn.comparison import compare
from edgecnn.errors import DataError
from edgecnn.export.accuracy import Accuracy, Agreement, Drop
from edgecnn.export.evaluate import evaluate
from edgecnn.head import Head
from edgecnn.pictures import Picture, truths

TAGS = ("red", "green", "blue")
STRICT = Head("binary", (0.7,))
EACH = Head("sigmoid", (0.5,) * 3)


def array(rows: list[list[float]]) -> Any:
    return np.array(rows, np.float32)


# Figures, held against scikit-learn's


@pytest.fixture(scope="module")
def drawn() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    truth = rng.random((400, 7)) < [0.5, 0.3, 0.1, 0.6, 0.2, 0.05, 0.4]
    said = np.clip(truth * 0.4 + rng.random(truth.shape) * 0.7, 0, 1).astype(np.float32)
    return said, truth


def test_accuracy_of_labels_is_scikit_learns(drawn: tuple[Any, Any]) -> None:
    from sklearn.metrics import accuracy_score, f1_score, hamming_loss

    said, truth = drawn
    head = Head("sigmoid", (0.5, 0.4, 0.6, 0.5, 0.7, 0.9, 0.5))
    decided = said >= np.array(head.thresholds, np.float32)
    found = Accuracy.of(said, truth, head=head)
    assert found.top1 == pytest.approx(accuracy_score(truth, decided))
    assert found.labels == pytest.approx(1 - hamming_loss(truth, decided))
    assert found.f1 == pytest.approx(f1_score(truth, decided, average="macro"))
    first = np.argsort(-said, axis=1, kind="stable")[:, :5]
    all_first = [set(np.flatnonzero(t)) <= set(f) for t, f in zip(truth, first, strict=True)]
    assert found.top5 == pytest.approx(np.mean(all_first))


def test_accuracy_of_yes_or_no_is_scikit_learns(drawn: tuple[Any, Any]) -> None:
    from sklearn.metrics import accuracy_score, f1_score

    said, truth = drawn[0][:, :1], drawn[1][:, 0].astype(np.int64)
    decided = said[:, 0] >= np.float32(0.7)
    found = Accuracy.of(said, truth, head=STRICT)
    assert found.to_json() == {
        "top1": pytest.approx(accuracy_score(truth, decided)),
        "top5": 1.0,
        "f1": pytest.approx(f1_score(truth, decided)),
    }


def test_softmax_is_judged_as_before() -> None:
    said = array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.3, 0.3, 0.4]])
    found = Accuracy.of(said, np.array([0, 1, 2]))
    assert found.to_json() == {"top1": pytest.approx(2 / 3), "top5": 1.0}
    assert Agreement.of(said, said[::-1]).to_json().keys() == {
        "count",
        "agreement_top1",
        "max_abs_error",
        "mean_abs_error",
    }


def test_a_label_nobody_has_counts_in_no_mean() -> None:
    said = array([[0.9, 0.1], [0.2, 0.1]])
    truth = np.array([[True, False], [False, False]])
    head = Head("sigmoid", (0.5, 0.5))
    assert Accuracy.of(said, truth, head=head).f1 == 1.0
    assert Accuracy.of(said * 0, truth & False, head=head).f1 is None


def test_agreement_is_on_decisions() -> None:
    """Not on which output is larger: of one output it always is the same."""
    reference, artifact = array([[0.2], [0.72], [0.9]]), array([[0.3], [0.68], [0.71]])
    found = Agreement.of(reference, artifact, head=STRICT)
    assert found.agreement_top1 == pytest.approx(2 / 3)
    assert found.agreement_labels is None
    assert found.max_abs_error == pytest.approx(0.19, abs=1e-6)
    reference = array([[0.9, 0.6, 0.1], [0.9, 0.1, 0.1]])
    artifact = array([[0.9, 0.4, 0.1], [0.6, 0.2, 0.1]])
    found = Agreement.of(reference, artifact, head=EACH)
    assert found.agreement_top1 == pytest.approx(1 / 2)
    assert found.agreement_labels == pytest.approx(5 / 6)


def test_the_drop_is_of_decisions() -> None:
    truth = np.array([1, 1, 0, 0])
    reference, artifact = array([[0.9], [0.8], [0.1], [0.9]]), array([[0.9], [0.6], [0.1], [0.1]])
    assert Drop.of(reference, artifact, truth, head=STRICT).top1_drop == 0.0
    artifact[3] = 0.9
    assert Drop.of(reference, artifact, truth, head=STRICT).top1_drop == 25.0
    labels = np.array([[True, False, False]] * 4)
    right, wrong = array([[0.9, 0.1, 0.1]] * 4), array([[0.9, 0.1, 0.1]] * 3 + [[0.9, 0.6, 0.1]])
    assert Drop.of(right, wrong, labels, head=EACH).top1_drop == 25.0


# What pictures show


def named(*labels: str | None) -> list[Picture]:
    return [Picture(Path(f"{n}.png"), label) for n, label in enumerate(labels)]


def test_what_labels_say_to_each_head() -> None:
    two = truths(named("defect", "ok", "1"), ("ok", "defect"), STRICT)
    np.testing.assert_array_equal(two, [1, 0, 1])
    one = truths(named("defect", "good", "", "not defect"), ("defect",), STRICT)
    np.testing.assert_array_equal(one, [1, 0, 0, 0])
    each = truths(named("red|blue", "", "green", " blue | 0"), TAGS, EACH)
    np.testing.assert_array_equal(each, [[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 0, 1]])
    assert each.dtype == bool


@pytest.mark.parametrize("label", ["red|cat", "red;blue", "3", None])
def test_labels_the_network_has_not(label: str | None) -> None:
    with pytest.raises(DataError, match=r"0\.png has"):
        truths(named(label), TAGS, EACH)


# The command


def paint(path: Path, red: int, green: int = 0, blue: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((32, 32, 3), (blue, green, red), np.uint8))


LEVELS = (0, 50, 110, 140, 150, 160, 200, 255)


def certainty(level: int) -> float:
    """What the network says of a channel of that level."""
    return 1 / (1 + math.exp(4 - 8 * level / 255))


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parts with a defect from level 130 on, in the folders of an inspector."""
    folder = tmp_path_factory.mktemp("parts")
    for level in LEVELS:
        paint(folder / ("defect" if level > 130 else "fine") / f"{level}.png", level)
    return folder


def test_a_folder_for_the_defects(
    write_head: Any, tmp_path: Path, parts: Path, edgecnn_cli: Any
) -> None:
    right = np.mean([(certainty(level) >= 0.7) == (level > 130) for level in LEVELS])
    bundle = write_head(tmp_path / "one", STRICT, "defect")
    done = edgecnn_cli("evaluate", bundle, "--data", parts, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["head"], found["thresholds"]) == ("binary", [0.7])
    assert found["artifacts"].keys() == {"onnx", "openvino"}
    for artifact in found["artifacts"].values():
        assert artifact["top1"] == pytest.approx(right)
        assert artifact["top5"] == 1.0
        assert 0 < artifact["f1"] < 1
    assert "note: No comparison with the float network" in done.stderr
    shown = edgecnn_cli("evaluate", bundle, "--data", parts).stdout
    for column in ("accuracy", "F1", "accuracy drop"):
        assert column in shown
    assert f"{right:.2%}" in shown
    assert "top-5" not in shown


def test_two_labels_have_two_folders(write_head: Any, tmp_path: Path, parts: Path) -> None:
    bundle = write_head(tmp_path / "two", Head("binary", (0.55,)), "fine", "defect")
    (onnx, _) = evaluate(bundle, parts, reference=False).results.values()
    assert onnx.accuracy.top1 == 1.0
    turned = write_head(tmp_path / "turned", Head("binary", (0.55,)), "defect", "fine")
    (onnx, _) = evaluate(turned, parts, reference=False).results.values()
    assert onnx.accuracy.top1 == 0.0
    other = write_head(tmp_path / "other", STRICT, "fine", "scratch")
    with pytest.raises(DataError, match="'defect', which is none of the network's"):
        evaluate(other, parts, reference=False)


def test_a_label_that_no_picture_has_is_said(write_head: Any, tmp_path: Path, parts: Path) -> None:
    bundle = write_head(tmp_path / "one", STRICT, "scratch")
    found = evaluate(bundle, parts, reference=False)
    assert found.notes == (f"No picture of {parts} has the label 'scratch'.",)


def test_a_data_set_against_one_of_its_classes(write_head: Any, tmp_path: Path) -> None:
    bundle = write_head(tmp_path / "seven", Head("binary", (0.5,)), "7")
    found = evaluate(bundle, "digits", reference=False)
    assert found.count > 100
    # The network calls none of them bright enough to be a 7.
    assert found.results["onnx"].accuracy.top1 == pytest.approx(0.9, abs=0.03)


def test_a_csv_with_several_labels(
    write_head: Any, tmp_path: Path, edgecnn_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")  # wide enough for headings in one line
    rows = {
        "a.png": ((255, 200, 0), "red|green"),
        "b.png": ((0, 0, 0), ""),
        "c.png": ((0, 0, 255), "blue"),
        "d.png": ((255, 0, 255), "red"),  # blue too, and it was not said
    }
    with (tmp_path / "labels.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("file", "label"))
        for name, (colour, label) in rows.items():
            paint(tmp_path / name, *colour)
            writer.writerow((name, label))
    bundle = write_head(tmp_path / "bundle", EACH, *TAGS)
    done = edgecnn_cli("evaluate", bundle, "--data", tmp_path / "labels.csv", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for artifact in found["artifacts"].values():
        assert artifact["top1"] == pytest.approx(3 / 4)
        assert artifact["labels"] == pytest.approx(11 / 12)
        assert artifact["f1"] == pytest.approx((1 + 1 + 2 / 3) / 3)
    shown = edgecnn_cli("evaluate", bundle, "--data", tmp_path).stdout
    for column in ("all labels", "each label", "mean F1"):
        assert column in shown
    # And two of them are compared as ever.
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(done.stdout)
    worse = json.loads(done.stdout)
    worse["artifacts"]["onnx"]["top1"] = 0.5
    new.write_text(json.dumps(worse))
    (regression,) = compare(old, new).regressions
    assert regression.subject == "onnx"


def test_thresholds_are_scikit_learns(drawn: tuple[Any, Any]) -> None:
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    from edgecnn.export.thresholds import Thresholds

    rng = np.random.default_rng(0)
    values = rng.dirichlet(np.ones(4), 300).astype(np.float32)
    classes = rng.integers(0, 4, 300)
    found = Thresholds.of(values, classes, tuple("abcd"), Head())
    said = values.argmax(axis=1)
    assert found.confusion is not None
    np.testing.assert_array_equal(found.confusion.counts, confusion_matrix(classes, said))
    precision, recall, _, _ = precision_recall_fscore_support(classes, said)
    for index, judged in enumerate(found.labels.values()):
        assert judged.precision.value == pytest.approx(precision[index])
        assert judged.recall.value == pytest.approx(recall[index])
        low, high = judged.to_json()["recall"]["interval"]
        assert low < recall[index] < high
    sure = values.max(axis=1) >= 0.7
    at = found.at[0.7]
    assert at.precision.count == sure.sum()
    assert at.precision.hits == at.recall.hits == (sure & (said == classes)).sum()
    assert at.recall.count == 300
    confused = found.confusion.most(3)
    assert confused[0][2] == (found.confusion.counts * (1 - np.eye(4, dtype=int))).max()

    tags, holds = drawn
    head = Head.of("sigmoid", tags.shape[1])
    names = tuple(map(str, range(tags.shape[1])))
    each = Thresholds.of(tags, holds, names, head)
    assert each.confusion is None
    precision, recall, _, _ = precision_recall_fscore_support(
        holds, tags >= 0.5, average=None, zero_division=0
    )
    for index, judged in enumerate(each.labels.values()):
        assert (judged.recall.value or 0) == pytest.approx(recall[index])
        assert (judged.precision.value or 0) == pytest.approx(precision[index])
