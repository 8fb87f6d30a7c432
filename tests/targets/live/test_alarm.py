"""The alarm: rare while all is as usual, soon when it is not, and it tells camera from scene."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn.errors import EdgeCnnError
from edgecnn.head import Head
from edgecnn.reliability import Reliability, TooFewPictures, log_odds, prominence
from edgecnn.targets.captured import Captured
from edgecnn.targets.classifier import Classifier, load
from edgecnn.targets.live.alarm import AlarmOptions, Watch
from edgecnn.targets.live.alarm.evidence import Labels, Shares
from edgecnn.targets.live.alarm.view import View
from edgecnn.targets.live.fleet import Member
from edgecnn.targets.live.loop import LiveOptions
from edgecnn.targets.live.outputs import Outputs
from edgecnn.targets.live.runner import run
from edgecnn.targets.prediction import Alarm
from edgecnn.usual import LOOKS, Usual, look, saying

Frame = NDArray[np.uint8]
STEP_S = 0.5


def test_a_false_alarm_is_as_rare_as_was_asked_for() -> None:
    """At the very bound, as often as can be: within half the time in at most half of the runs."""
    limit, runs = 100, 300
    rng = np.random.default_rng(0)
    raised = mixed = 0
    for _ in range(runs):
        shares, labels = Shares(np.array([0.1]), limit), Labels(np.array([0.5, 0.3, 0.2]), limit)
        seen = [float(shares.add(np.array([x]))[0]) for x in rng.random(limit // 2) < 0.1]
        said = [labels.add(x) for x in rng.choice(3, limit // 2, p=[0.5, 0.3, 0.2]).tolist()]
        raised += max(seen) >= limit
        mixed += max(said) >= limit
    assert 0 < raised / runs <= 0.5 + 3 * (0.25 / runs) ** 0.5
    assert mixed / runs <= 0.5 + 3 * (0.25 / runs) ** 0.5


def test_what_is_new_is_seen_within_few_windows() -> None:
    shares = Shares(np.array([0.1, 0.1]), 1e6)
    for _ in range(1000):
        shares.add(np.array([0.05, 0.05]))
    found = [shares.add(np.array([1.0, 0.05])) for _ in range(9)]
    assert found[-1][0] >= 1e6
    assert found[-1][1] < 100
    labels = Labels(np.full(10, 0.15), 1e6)
    for n in range(1000):
        labels.add(n % 10)
    assert [labels.add(3) for _ in range(15)][-1] >= 1e6


# Streams of digits, as a camera would see one after the other


@pytest.fixture(scope="module")
def classifier(lenet5_bundle: Path) -> Classifier:
    return load(lenet5_bundle, "litert")


@pytest.fixture(scope="module")
def usual(classifier: Classifier) -> Usual:
    found = Usual.load(classifier.bundle, classifier.format)
    assert found is not None
    return found


@cache
def all_digits() -> Any:
    from sklearn.datasets import load_digits

    return load_digits().images


def digits(seed: int, stay: float = 0.8) -> Iterator[Frame]:
    """One digit stays for some frames, then comes another, each frame with a sensor's noise."""
    rng = np.random.default_rng(seed)
    images = all_digits()
    shown = rng.integers(len(images))
    while True:
        if rng.random() > stay:
            shown = rng.integers(len(images))
        noisy = images[shown] * 15.9 + rng.normal(0, 1, (8, 8))
        yield np.clip(noisy, 0, 255).astype(np.uint8)


def follow(
    classifier: Classifier,
    watch: Watch,
    frames: Iterator[Frame],
    seconds: float,
    start: float = 0,
    change: Callable[[Frame], Frame] = lambda frame: frame,
) -> list[Alarm]:
    found = []
    for n, frame in enumerate(islice(frames, int(seconds / STEP_S))):
        clock = start + n * STEP_S
        captured = Captured(change(frame), n, clock, clock)
        found.append(watch(classifier.predict(captured), classifier.image[0], clock))
    return found


def darker(frame: Frame) -> Frame:
    return (frame * 0.2).astype(np.uint8)


def blurred(frame: Frame) -> Frame:
    return np.asarray(cv2.GaussianBlur(cv2.resize(frame, (64, 64)), (0, 0), 12), np.uint8)


def covered(frame: Frame) -> Frame:
    return (frame * 0.02 + 75).astype(np.uint8)


def noisy(frame: Frame) -> Frame:
    noise = np.random.default_rng(int(frame.sum())).normal(0, 90, frame.shape)
    return np.clip(frame + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("change", "kind", "why"),
    [
        (darker, "camera", "dark"),
        (blurred, "camera", "blurred"),
        (covered, "camera", "covered"),
        (noisy, "camera", "noisy"),
    ],
)
def test_a_camera_that_sees_badly(
    classifier: Classifier,
    usual: Usual,
    change: Callable[[Frame], Frame],
    kind: str,
    why: str,
) -> None:
    watch = Watch(usual, classifier.head, AlarmOptions(30))
    before = follow(classifier, watch, digits(1), 400)
    assert {alarm.kind for alarm in before} == {"none"}
    after = follow(classifier, watch, digits(2), 400, 400, change)
    assert after[-1].kind == kind
    assert why in after[-1].why
    assert "scene" not in {alarm.kind for alarm in after}
    # Once, not with every frame; and it ends when all is well again.
    assert len({alarm.since for alarm in after}) < 8
    again = follow(classifier, watch, digits(3), 700, 800)
    assert again[-1].kind == "none"


def test_another_scene(classifier: Classifier, usual: Usual) -> None:
    watch = Watch(usual, classifier.head, AlarmOptions(30))
    follow(classifier, watch, digits(1), 400)
    upside_down = follow(classifier, watch, digits(2), 800, 400, lambda f: f[::-1].copy())
    assert upside_down[-1].kind == "scene"
    assert set(upside_down[-1].why) <= {"unsure", "unfamiliar", "other labels"}


def test_a_picture_that_stands_still(classifier: Classifier, usual: Usual) -> None:
    watch = Watch(usual, classifier.head, AlarmOptions(30))
    still = next(digits(1))
    found = follow(classifier, watch, iter([still] * 30), 15)
    assert found[0].kind == "none"
    assert (found[-1].kind, found[-1].why) == ("camera", ("frozen",))


def test_a_fixed_camera_that_is_moved() -> None:
    wall = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8), (0, 0), 5
    )
    wall = cv2.normalize(wall, None, 0, 255, cv2.NORM_MINMAX)
    rng = np.random.default_rng(1)

    def windows(left: int, count: int, light: float = 1.0) -> list[bool]:
        found = []
        for _ in range(count):
            for _ in range(5):
                seen = wall[:224, left : left + 224] * light + rng.normal(0, 2, (224, 224, 3))
                view.add(np.clip(seen, 0, 255).astype(np.uint8))
            found.append(view.moved())
        return found

    view = View()
    assert not any(windows(0, 20) + windows(0, 20, 0.6) + windows(0, 20))
    assert windows(40, 6)[-1]
    assert not windows(40, 40)[-1]  # that is its view now
    view = View()
    robot = [moved for left in range(0, 76, 8) for moved in windows(left, 3)]
    assert not any(robot)  # it has no view of its own


def test_looks_are_what_they_are_called() -> None:
    frame = np.random.default_rng(0).integers(60, 200, (64, 64, 3), np.uint8)
    frame = np.asarray(cv2.resize(frame[:16, :16], (64, 64)), np.uint8)
    own, dark, soft = look(frame), look(frame // 2), look(cv2.GaussianBlur(frame, (0, 0), 3))
    assert dark["brightness"] < own["brightness"] * 0.6
    assert dark["sharpness"] == pytest.approx(own["sharpness"], rel=0.1)
    assert soft["sharpness"] < own["sharpness"] * 0.6
    assert soft["brightness"] == pytest.approx(own["brightness"], rel=0.05)


@pytest.mark.parametrize("text", ["often", "0", "-1", "30:", "30:0", "inf", "30:60:1"])
def test_a_rate_that_is_none(text: str) -> None:
    with pytest.raises(EdgeCnnError, match="--alarm"):
        AlarmOptions.parse(text)


def test_too_few_pictures_to_know_what_is_usual() -> None:
    images = np.zeros((10, 8, 8, 1), np.uint8)
    values = np.full((10, 2), 0.5, np.float32)
    few = Usual.of(images, values, Head(), ranked(values))
    with pytest.raises(TooFewPictures, match="19 held-out pictures"):
        Watch(few, Head(), AlarmOptions(30))


def ranked(values: NDArray[np.float32]) -> Reliability:
    """What is known of how familiar pictures are, by a network's probabilities."""
    familiar = np.sort(prominence(log_odds(values, Head())))
    nothing = np.empty(0, np.float32)
    return Reliability(1, "labels", nothing, np.empty(0, np.int32), familiar)


@pytest.mark.slow
def test_thirty_days_of_a_correlated_stream_without_change() -> None:
    """Scenes that stay for five seconds on average: at most the stated rate."""
    rng = np.random.default_rng(0)
    head, days, runs, raised = Head(), 30, 4, 0
    for _ in range(runs):
        world = rng.dirichlet(np.ones(10), 4000).astype(np.float32)
        looks = rng.normal(size=(4000, 3))
        held_out = rng.choice(4000, 300, replace=False)
        known = ranked(world[held_out])
        usual = Usual.of(np.zeros((300, 4, 4, 1), np.uint8), world[held_out], head, known)
        for n, name in enumerate(LOOKS):
            usual.measures[name][:] = np.sort(looks[held_out, n])
        watch = Watch(usual, head, AlarmOptions(days))
        seen = [
            saying(values, head, known.read(values, head)[1]) | dict(zip(LOOKS, row, strict=True))
            for values, row in zip(world, looks.tolist(), strict=True)
        ]
        raised += alarms(watch, seen, world.argmax(axis=1).tolist(), rng, int(days * 86400 / 20))
    # One false alarm in 30 days on average at most.
    assert raised <= runs / 2


def stream(pictures: int, rng: Any, windows: int) -> Iterator[NDArray[np.int64]]:
    """What is shown in the second half of each window, `(20,)`."""
    last = 0
    for _ in range(windows):
        others = rng.integers(pictures, size=40)
        changes = np.where(rng.random(40) > np.exp(-STEP_S / 5), np.arange(40), -1)
        place = np.maximum.accumulate(changes)
        shown = np.where(place < 0, last, others[place])
        last = shown[-1]
        yield shown[20:]


def alarms(
    watch: Watch, seen: list[dict[str, float]], labels: list[int], rng: Any, windows: int
) -> int:
    """How often it is raised while scenes stay for five seconds on average."""
    signals = np.array([watch.signals(measures) for measures in seen], float)
    count, up = 0, False
    for shown in stream(len(seen), rng, windows):
        watch.conclude(signals[shown].mean(axis=0), labels[shown[-1]])
        now = any(watch.raised)
        count += now and not up
        up = now
    return count


def test_a_run_says_it_in_lines_and_once_on_stderr(
    lenet5_bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A film of one picture stands still, and says so once."""
    film = cv2.VideoWriter(str(tmp_path / "f.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 2, (64, 64))
    for _ in range(30):
        film.write(cv2.cvtColor(cv2.resize(next(digits(1)), (64, 64)), cv2.COLOR_GRAY2BGR))
    film.release()
    run(
        lenet5_bundle,
        str(tmp_path / "f.avi"),
        Outputs(jsonl=str(tmp_path / "log.jsonl")),
        runtime="litert",
        options=LiveOptions(alarm=AlarmOptions(30)),
    )
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[0]["alarm"]["kind"] == "none"
    assert (lines[-1]["alarm"]["kind"], lines[-1]["alarm"]["why"]) == ("camera", ["frozen"])
    assert [r.getMessage() for r in caplog.records].count("edgecnn: alarm, camera: frozen") == 1


def test_the_fleet_shows_it() -> None:
    health = {"silent_s": 0.0, "alarm": "scene: unfamiliar"}
    assert Member("robots/eye", True, health).state == "alarm"
    assert Member("robots/eye", False, health).state == "offline"
