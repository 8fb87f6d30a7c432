"""Networks that end in yes or no, or in labels that each hold or not."""

import contextlib
import io
import json
import math
import subprocess
import sys
import types
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import edgecnn
from edgecnn.bundle import Bundle
from edgecnn.errors import BundleError, EdgeCnnError
from edgecnn.head import Head
from edgecnn.targets.answer import FEW, best
from edgecnn.targets.board.target import detect
from edgecnn.targets.captured import Captured
from edgecnn.targets.classifier import Classifier, load
from edgecnn.targets.live.decisions import DecisionRule, EachDecider, decider
from edgecnn.targets.live.loop import LiveOptions
from edgecnn.targets.live.sinks import snapshots
from edgecnn.targets.live.sinks.overlay import lines
from edgecnn.targets.live.sinks.ros2 import Ros2
from edgecnn.targets.live.sinks.snapshots import Snapshots, Unsure
from edgecnn.targets.live.sinks.terminal import Terminal
from edgecnn.targets.prediction import Decision, Latency, Prediction, Top

TAGS = ("red", "green", "blue")
STRICT = Head("binary", (0.7,))
EACH = Head("sigmoid", (0.5, 0.7, 0.3))
GREY = (0, 60, 120, 127, 128, 133, 140, 150, 155, 200, 255)


def certainty(level: int) -> float:
    """What the network answers to a channel of that level."""
    return 1 / (1 + math.exp(4 - 8 * level / 255))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(1, 40))
def test_the_best_labels_are_those_of_a_stable_sort(levels: list[int], count: int) -> None:
    """As int8 gives them: of ten levels, so that many are equal."""
    values, count = np.array(levels, np.float32), min(count, len(levels))
    whole = sorted(range(len(levels)), key=lambda place: -levels[place])
    assert best(values, count) == whole[:count]
    assert best(values, min(count, FEW)) == whole[: min(count, FEW)]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory, write_head: Any) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("heads")
    return {
        "two": write_head(folder / "two", STRICT, "ok", "defect"),
        "one": write_head(folder / "one", STRICT, "defect"),
        "each": write_head(folder / "each", EACH, *TAGS),
    }


@pytest.fixture(scope="module")
def greys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of more and more certainty, some between 0.5 and the threshold of 0.7."""
    folder = tmp_path_factory.mktemp("greys")
    for n, level in enumerate(GREY):
        cv2.imwrite(str(folder / f"{n:02}.png"), np.full((32, 48, 3), level, np.uint8))
    return folder


def run(bundle: Path, source: Path, *words: object) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "edgecnn", "run", bundle, "--source", source, "--jsonl", "-"]
    done = subprocess.run(
        [*map(str, command), "--runtime", "onnxruntime", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def see(classifier: Classifier, *colour: int) -> Prediction:
    """What is said of a picture of that colour, red, green, blue."""
    return classifier(np.full((32, 48, 3), colour[::-1], np.uint8))


# The bundle


@pytest.mark.parametrize(
    "replaced",
    [
        {"head": "hinge"},
        {"head": None},
        {"thresholds": []},
        {"thresholds": [0.5, 0.5]},
        {"thresholds": [1.5]},
        {"thresholds": ["much"]},
        {"thresholds": None},
        {"head": "softmax"},
        {"head": "sigmoid"},
    ],
)
def test_a_head_that_cannot_be(
    write_head: Callable[..., Path], tmp_path: Path, replaced: dict[str, Any]
) -> None:
    path = write_head(tmp_path / "broken", STRICT, "ok", "defect", **replaced)
    with pytest.raises(BundleError, match=r"manifest.json.*Export again"):
        Bundle.load(path)


def test_three_labels_are_no_yes_or_no(write_head: Callable[..., Path], tmp_path: Path) -> None:
    path = write_head(tmp_path / "three", STRICT, "ok", "scratch", "dent")
    with pytest.raises(BundleError, match="one label or two, not 3"):
        Bundle.load(path)


def test_a_model_with_other_outputs_than_its_head(
    write_head: Callable[..., Path], tmp_path: Path
) -> None:
    other = {"head": "sigmoid", "thresholds": [0.5, 0.5]}
    path = write_head(tmp_path / "other", STRICT, "ok", "defect", **other)
    with pytest.raises(BundleError, match=r"gives 1 values.*2 labels with the head 'sigmoid'"):
        load(path, "onnxruntime", self_check=False)


def test_a_bundle_of_before_is_a_softmax(colour_bundle: Path) -> None:
    assert Bundle.load(colour_bundle).head == Head()


# Answers


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("words", [(), ("--threshold", 0.55)])
def test_yes_or_no_follows_the_threshold(
    bundles: dict[str, Path], greys: Path, runtime: str, words: tuple[()] | tuple[str, float]
) -> None:
    threshold = words[1] if words else 0.7
    found = run(bundles["two"], greys, "--runtime", runtime, *words)
    for line, level in zip(found, GREY, strict=True):
        p = certainty(level)
        holds = p >= threshold
        assert line["label"] == ("defect" if holds else "ok")
        assert line["class_index"] == int(holds)
        assert line["probability"] == pytest.approx(p if holds else 1 - p, abs=1e-4)
        assert [top["label"] for top in line["top"]] == (
            ["defect", "ok"] if holds else ["ok", "defect"]
        )
        assert sum(top["probability"] for top in line["top"]) == pytest.approx(1, abs=1e-5)
        assert "labels" not in line
        # With a rule that only has a threshold, what is decided is what is said.
        assert ("decision" in line) == bool(words)
        assert line.get("decision", line)["label"] == line["label"]
    assert {line["label"] for line in found} == {"ok", "defect"}
    assert any(0.5 < certainty(level) < 0.55 for level in GREY)


def test_one_label_that_does_not_hold_is_not_said(bundles: dict[str, Path], greys: Path) -> None:
    for line, level in zip(run(bundles["one"], greys), GREY, strict=True):
        p = certainty(level)
        if p >= 0.7:
            assert (line["label"], line["class_index"]) == ("defect", 0)
            assert line["probability"] == pytest.approx(p, abs=1e-4)
        else:
            assert (line["label"], line["class_index"]) == ("not defect", None)
            assert line["probability"] == pytest.approx(1 - p, abs=1e-4)
        assert line["top"][0]["label"] == line["label"]
        assert {top["label"] for top in line["top"]} == {"defect", "not defect"}


def test_each_label_holds_or_not(bundles: dict[str, Path], tmp_path: Path) -> None:
    colours = [(250, 140, 110), (250, 200, 0), (0, 0, 0), (0, 140, 120)]  # red, green, blue
    for n, colour in enumerate(colours):
        cv2.imwrite(str(tmp_path / f"{n}.png"), np.full((32, 48, 3), colour[::-1], np.uint8))
    found = run(bundles["each"], tmp_path)
    assert [line["labels"] for line in found] == [["red", "blue"], ["red", "green"], [], ["blue"]]
    for line, colour in zip(found, colours, strict=True):
        likely = TAGS[int(np.argmax(colour))]
        assert line["label"] == line["top"][0]["label"] == likely  # whether it holds or not
        by_label = {top["label"]: top["probability"] for top in line["top"]}
        for label, level in zip(TAGS, colour, strict=True):
            assert by_label[label] == pytest.approx(certainty(level), abs=1e-4)
    found = run(bundles["each"], tmp_path, "--threshold", 0.2)
    assert [line["labels"] for line in found[:2]] == [["red", "green", "blue"], ["red", "green"]]
    assert [line["decision"]["labels"] for line in found] == [line["labels"] for line in found]


def test_all_labels_that_hold_are_named_however_few_are_shown(bundles: dict[str, Path]) -> None:
    classifier = Classifier(
        (bundle := Bundle.load(bundles["each"])),
        "onnxruntime",
        load(bundle.path, "onnxruntime").session,
        top=1,
    )
    said = see(classifier, 255, 250, 245)
    assert len(said.top) == 1
    assert said.labels == TAGS


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_a_threshold_that_decides_nothing(bundles: dict[str, Path], threshold: float) -> None:
    with pytest.raises(EdgeCnnError, match="between 0 and 1"):
        load(bundles["one"], "onnxruntime", threshold=threshold)


# Decisions


def predictions(head: Head, rows: list[list[float]]) -> list[Prediction]:
    top, latency = (Top("red", 0, 0.0),), Latency(0, 0, 0, 0, 0, 0)
    return [
        Prediction(n, float(n), top, latency, probabilities=np.array(row, np.float32))
        for n, row in enumerate(rows)
    ]


def decide(
    head: Head, labels: tuple[str, ...], rule: DecisionRule, rows: list[list[float]]
) -> list[Decision]:
    decided = decider(rule, labels, head)
    return [decided(p, p.frame * 0.1) for p in predictions(head, rows)]


def test_a_frame_that_is_rejected_decides_nothing() -> None:
    """A yes or no stays in force while the camera sees what is neither."""
    seen = predictions(STRICT, [[0.1], [0.99], [0.99]])
    decided = decider(DecisionRule(), ("defect",), STRICT)
    found = [decided(p, p.frame * 0.1) for p in (seen[0], replace(seen[1], possible=()), seen[2])]
    assert [decision.label for decision in found] == ["not defect", "not defect", "defect"]
    assert [decision.changed for decision in found] == [True, False, True]


FRACTION = st.floats(0, 1, width=32)
ROWS = st.lists(st.lists(FRACTION, min_size=3, max_size=3), min_size=1, max_size=30)


@given(rows=ROWS, hysteresis=st.floats(0, 0.29))
def test_what_a_decision_on_each_label_promises(rows: list[list[float]], hysteresis: float) -> None:
    before: set[str] | None = None
    since = 0.0
    for n, decision in enumerate(decide(EACH, TAGS, DecisionRule(hysteresis=hysteresis), rows)):
        assert decision.labels is not None
        held = set(decision.labels)
        for label, p, threshold in zip(TAGS, rows[n], EACH.thresholds, strict=True):
            if p >= threshold + 1e-6:
                assert label in held
            elif p < threshold - hysteresis - 1e-6:
                assert label not in held
            elif p < threshold - 1e-6:
                # In between it stays as it was.
                assert (label in held) == (label in (before or set()))
        assert decision.changed == (held != before)
        since = float(n) if decision.changed else since
        assert decision.since == since
        likely = [rows[n][TAGS.index(label)] for label in decision.labels]
        assert likely == sorted(likely, reverse=True)
        if held:
            assert decision.label == decision.labels[0]
            assert decision.class_index == TAGS.index(decision.label)
        else:
            assert (decision.label, decision.class_index) == ("nothing", None)
        before = held


@given(rows=st.lists(st.lists(FRACTION, min_size=1, max_size=1), min_size=1, max_size=30))
def test_a_decision_of_yes_or_no_is_never_unknown(rows: list[list[float]]) -> None:
    for decision, row in zip(decide(STRICT, ("defect",), DecisionRule(), rows), rows, strict=True):
        holds = np.float32(row[0]) >= np.float32(0.7)
        assert decision.label == ("defect" if holds else "not defect")
        assert decision.class_index == (0 if holds else None)
        assert decision.probability == pytest.approx(row[0] if holds else 1 - row[0])
        assert "labels" not in decision.to_json()


def test_hysteresis_ends_the_flicker_of_yes_and_no() -> None:
    flicker = [[0.72], [0.68]] * 10
    labels = ("ok", "defect")
    assert sum(d.changed for d in decide(STRICT, labels, DecisionRule(), flicker)) == 20
    calm = decide(STRICT, labels, DecisionRule(hysteresis=0.1), [*flicker, [0.5]])
    assert [d.label for d in calm] == ["defect"] * 20 + ["ok"]


def test_a_majority_of_frames_says_yes() -> None:
    """Votes by the threshold: one frame in five that shows a defect is none."""
    rows = [[0.1], [0.1], [0.99], [0.1], [0.1], [0.71], [0.99], [0.71], [0.69]]
    found = decide(STRICT, ("ok", "defect"), DecisionRule("majority:5"), rows)
    assert [d.label for d in found] == ["ok"] * 6 + ["defect"] * 3
    assert found[2].probability == pytest.approx(2 / 3)  # the share of votes
    assert found[-1].probability == pytest.approx(3 / 5)


def test_a_majority_for_each_label() -> None:
    # Half of the votes are no majority.
    rows = [[0.9, 0.1, 0.9], [0.9, 0.9, 0.1], [0.9, 0.1, 0.1]]
    found = decide(EACH, TAGS, DecisionRule("majority:3"), rows)
    assert [d.labels for d in found] == [("red", "blue"), ("red",), ("red",)]


def test_an_average_of_what_is_sure() -> None:
    """A blink of a defect does not reach the threshold, a lasting one does."""
    rows = [[0.0]] * 5 + [[1.0]] + [[0.0]] * 5 + [[1.0]] * 20
    found = decide(STRICT, ("ok", "defect"), DecisionRule("exponential:0.5"), rows)
    changes = [n for n, d in enumerate(found) if d.changed]
    assert changes[0] == 0
    # 1 - exp(-t / 0.5) reaches 0.7 after 0.6 s of a tenth of a second each.
    assert changes[1:] == pytest.approx([16], abs=1)


def test_a_hysteresis_that_would_hold_for_ever_is_refused() -> None:
    with pytest.raises(EdgeCnnError, match="for ever"):
        EachDecider(DecisionRule(hysteresis=0.3), TAGS, EACH)
    with pytest.raises(EdgeCnnError, match=r"--hysteresis 0\.6"):
        EachDecider(DecisionRule("majority:5", hysteresis=0.6), ("defect",), STRICT)
    assert EachDecider(DecisionRule(threshold=0.8, hysteresis=0.3), TAGS, EACH)


def test_only_changes_are_written(bundles: dict[str, Path], greys: Path) -> None:
    found = run(bundles["one"], greys, "--on-change")
    first = next(n for n, level in enumerate(GREY) if certainty(level) >= 0.7)
    assert [(line["frame"], line["decision"]["label"]) for line in found] == [
        (0, "not defect"),
        (first, "defect"),
    ]


# Outputs


def of_the(classifier: Classifier, rule: DecisionRule, *colour: int) -> Prediction:
    said = see(classifier, *colour)
    decide = decider(rule, classifier.bundle.labels, classifier.head)
    return replace(said, decision=decide(said, 0.0))


def printed(prediction: Prediction) -> str:
    stream = io.StringIO()
    Terminal(Console(file=stream, width=200)).write(
        prediction, Captured.now(np.zeros(0, np.uint8), 0)
    )
    return stream.getvalue()


def test_a_good_part_is_nowhere_called_a_defect(bundles: dict[str, Path]) -> None:
    classifier = load(bundles["one"], "onnxruntime")
    good, bad = see(classifier, 140, 0, 0), see(classifier, 250, 0, 0)
    assert good.probability < 0.5  # below the threshold, but the likelier one
    assert lines(good)[:2] == [" 40.3%  not defect", " 59.7%  defect"]
    assert lines(bad)[0].endswith("97.9%  defect")
    assert "40.3% not defect" in printed(good)
    assert "97.9% defect" in printed(bad)
    decided = of_the(classifier, DecisionRule(), 140, 0, 0)
    assert lines(decided)[0] == "= not defect"
    assert "= not defect" in printed(decided)


def test_the_labels_that_hold_are_shown_first(bundles: dict[str, Path]) -> None:
    classifier = load(bundles["each"], "onnxruntime")
    some, none = see(classifier, 250, 140, 110), see(classifier, 0, 110, 0)
    assert lines(some)[:3] == ["red, blue", " 97.9%  red", " 59.7%  green"]
    assert lines(none)[0] == "nothing"
    assert " red, blue · red 98% · green 60% · blue 37%" in printed(some)
    assert " nothing · green 37%" in printed(none)
    decided = of_the(classifier, DecisionRule(), 250, 140, 110)
    assert lines(decided)[0] == "= red, blue"
    assert "= red, blue" in printed(decided)


def test_ros2_is_told_what_holds(bundles: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its __init__, which needs ROS 2: only what would be sent."""
    sent: list[Any] = []
    sink = object.__new__(Ros2)
    sink._message = lambda: types.SimpleNamespace(header=types.SimpleNamespace(), results=None)
    sink._hypothesis, sink._stamp = types.SimpleNamespace, types.SimpleNamespace
    sink._publisher = types.SimpleNamespace(publish=sent.append)
    one, each = (load(bundles[name], "onnxruntime") for name in ("one", "each"))
    captured = Captured.now(np.zeros(0, np.uint8), 0)
    for said in (see(one, 140, 0, 0), see(each, 250, 140, 110), see(each, 0, 0, 0)):
        sink.write(said, captured)
    assert [[r.class_id for r in message.results] for message in sent] == [
        ["not defect", "defect"],
        ["red", "blue"],
        [],
    ]


def test_snapshots_of_what_is_near_a_threshold(
    bundles: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "EVERY_S", 0.0)
    for name, unsure, sure in (
        ("one", [(140, 0, 0), (160, 0, 0)], [(0, 0, 0), (255, 0, 0)]),
        ("each", [(255, 0, 110), (120, 0, 0)], [(255, 0, 0), (0, 0, 0), (255, 255, 255)]),
    ):
        classifier = load(bundles[name], "onnxruntime")
        folder = tmp_path / name
        sink = Unsure(Snapshots(folder, limit=10), below=0.5, head=classifier.head)
        image = np.zeros((4, 4, 3), np.uint8)
        for n, colour in enumerate(sure + unsure):
            sink.write(see(classifier, *colour), Captured(image, n, float(n), float(n)))
        kept = sorted(path.name for path in folder.iterdir())
        assert kept == [
            f"edgecnn-19700101T00000{n}.000000.png"
            for n in range(len(sure), len(sure) + len(unsure))
        ]


def test_the_web_page_is_told(bundles: dict[str, Path]) -> None:
    pytest.importorskip("aiohttp", reason="--web needs the extra 'web'")
    pytest.importorskip("prometheus_client", reason="--web needs the extra 'web'")
    from edgecnn.targets.live.sinks.webpage import WebPage

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def status(classifier: Classifier, said: Prediction) -> dict[str, Any]:
        with contextlib.closing(WebPage("127.0.0.1:0", classifier, detect())) as page:
            page.write(said, Captured.now(np.zeros((8, 8, 3), np.uint8), 0))
            with opener.open(page.url + "status", timeout=10) as events:
                line = events.readline().decode()
        found: dict[str, Any] = json.loads(line.removeprefix("data: "))
        return found

    one, each = (load(bundles[name], "onnxruntime") for name in ("one", "each"))
    good = status(one, see(one, 140, 0, 0))
    assert (good["answer"], good["labels"], good["decision"]) == ("not defect", None, None)
    assert good["top"][0]["label"] == "not defect"
    some = status(each, of_the(each, DecisionRule(), 250, 140, 110))
    assert (some["answer"], some["labels"]) == ("red, blue", ["red", "blue"])
    assert some["decision"] == "red, blue"
    assert status(each, see(each, 0, 0, 0))["answer"] == "nothing"


def test_from_python(bundles: dict[str, Path], greys: Path) -> None:
    options = LiveOptions(rule=DecisionRule("majority:3", threshold=0.55))
    found = list(
        edgecnn.classify(str(greys), bundles["one"], runtime="onnxruntime", options=options)
    )
    for said, level in zip(found, GREY, strict=True):
        assert said.labels == (("defect",) if certainty(level) >= 0.55 else ("not defect",))
    assert [said.decision.answer for said in found if said.decision][-1:] == ["defect"]
    assert all(said.decision is not None for said in found)
