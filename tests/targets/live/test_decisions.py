import math
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgecnn
from edgecnn.errors import EdgeCnnError
from edgecnn.targets.live.decisions import Decider, DecisionRule
from edgecnn.targets.live.decisions.smoothing import Exponential, Majority
from edgecnn.targets.live.loop import LiveOptions
from edgecnn.targets.live.pace import LOWEST_FPS, AgeLimit, Pace
from edgecnn.targets.prediction import UNKNOWN, Decision, Latency, Prediction, Top
from edgecnn.targets.region import Region

LABELS = ("red", "green", "blue")
FRACTION = st.floats(0, 1)


def probabilities(weights: list[float]) -> np.ndarray:
    values = np.asarray(weights, np.float32) + np.float32(1e-3)
    return values / values.sum()


DISTRIBUTION = st.lists(FRACTION, min_size=3, max_size=3).map(probabilities)
FRAMES = st.lists(DISTRIBUTION, min_size=1, max_size=40)


def prediction(values: np.ndarray, captured_at: float = 0.0) -> Prediction:
    best = int(values.argmax())
    return Prediction(
        frame=0,
        captured_at=captured_at,
        top=(Top(LABELS[best], best, float(values[best])),),
        latency_ms=Latency(0, 0, 0, 0, 0, 0),
        probabilities=values,
    )


def decide(rule: DecisionRule, frames: list[np.ndarray]) -> list[Decision]:
    decider = Decider(rule, LABELS)
    return [decider(prediction(p, float(n)), n * 0.1) for n, p in enumerate(frames)]


def steady(values: list[float]) -> np.ndarray:
    return np.array(values, np.float32)


@given(frames=FRAMES, threshold=FRACTION, hysteresis=FRACTION)
def test_what_a_decision_promises(
    frames: list[np.ndarray], threshold: float, hysteresis: float
) -> None:
    decisions = decide(DecisionRule(None, threshold, hysteresis), frames)
    before: Decision | None = None
    for moment, (values, decision) in enumerate(zip(frames, decisions, strict=True)):
        assert decision.changed == (before is None or decision.class_index != before.class_index)
        assert decision.since == (moment if decision.changed or not before else before.since)
        if decision.class_index is None:
            assert decision.label == UNKNOWN
            assert values.max() < threshold
        else:
            assert decision.label == LABELS[decision.class_index]
            own = float(values[decision.class_index])
            assert decision.probability == own
            if decision.changed:
                assert own == values.max()
                assert own >= threshold
            else:
                assert own >= threshold - hysteresis
                assert values.max() - own <= hysteresis
        before = decision


@given(values=DISTRIBUTION, count=st.integers(1, 30), hysteresis=FRACTION)
def test_what_stays_the_same_changes_once(
    values: np.ndarray, count: int, hysteresis: float
) -> None:
    decisions = decide(DecisionRule(None, 0.4, hysteresis), [values] * count)
    assert [d.changed for d in decisions] == [True] + [False] * (count - 1)


def test_hysteresis_ends_flicker() -> None:
    flicker = [steady([0.52, 0.48, 0]), steady([0.48, 0.52, 0])] * 10
    assert sum(d.changed for d in decide(DecisionRule(), flicker)) == 20
    calm = decide(DecisionRule(hysteresis=0.1), flicker)
    assert sum(d.changed for d in calm) == 1
    assert {d.label for d in calm} == {"red"}
    # A clear lead changes it at once.
    assert decide(DecisionRule(hysteresis=0.1), [*flicker, steady([0.1, 0.9, 0])])[-1].changed


@given(frames=FRAMES, time_constant_s=st.floats(0.01, 100))
def test_exponential_smoothing_is_an_average(
    frames: list[np.ndarray], time_constant_s: float
) -> None:
    smooth = Exponential(time_constant_s)
    for n, values in enumerate(frames):
        mean = smooth(values, n * 0.1)
        assert mean.sum() == pytest.approx(1, abs=1e-3)
        seen = np.array(frames[: n + 1])
        assert (mean >= seen.min(0) - 1e-5).all()
        assert (mean <= seen.max(0) + 1e-5).all()


@pytest.mark.parametrize("rate", [5, 30])
def test_exponential_smoothing_takes_as_long_at_every_rate(rate: int) -> None:
    smooth = Exponential(0.5)
    smooth(steady([1, 0, 0]), 0.0)
    for n in range(1, rate + 1):
        mean = smooth(steady([0, 1, 0]), n / rate)
    assert mean[0] == pytest.approx(math.exp(-1 / 0.5), rel=1e-3)


def test_a_clock_that_goes_backwards_changes_nothing() -> None:
    smooth = Exponential(0.5)
    smooth(steady([1, 0, 0]), 10.0)
    np.testing.assert_array_equal(smooth(steady([0, 1, 0]), 3.0), [1, 0, 0])


@given(frames=FRAMES, window=st.integers(1, 10))
def test_majority_counts_votes(frames: list[np.ndarray], window: int) -> None:
    smooth = Majority(window)
    for n, values in enumerate(frames):
        shares = smooth(values, 0.0)
        votes = Counter(int(f.argmax()) for f in frames[max(0, n + 1 - window) : n + 1])
        expected = [votes[c] / min(window, n + 1) for c in range(3)]
        np.testing.assert_allclose(shares, expected, atol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "exponential",
        "exponential:-1",
        "exponential:0",
        "exponential:inf",
        "exponential:nan",
        "majority:0",
        "majority:1.5",
        "median:3",
    ],
)
def test_smoothing_that_makes_no_sense(text: str) -> None:
    with pytest.raises(EdgeCnnError, match=r"exponential:SECONDS"):
        DecisionRule(text)


@pytest.mark.parametrize("values", [{"threshold": 1.5}, {"hysteresis": -0.1}])
def test_a_rule_out_of_range(values: dict[str, Any]) -> None:
    with pytest.raises(EdgeCnnError, match="0"):
        DecisionRule(**values)


def test_decisions_stand_in_the_json_line(colour_bundle: Path) -> None:
    rule = DecisionRule("majority:3", threshold=0.5)
    found = list(
        edgecnn.classify("synthetic:64x48", colour_bundle, frames=4, options=LiveOptions(rule=rule))
    )
    lines = [one.to_json()["decision"] for one in found]
    for line in lines:
        assert set(line) == {"label", "class_index", "probability", "changed", "since"}
    assert lines[0]["changed"]
    assert lines[0]["since"] == found[0].captured_at
    assert "decision" not in replace(found[0], decision=None).to_json()


# Regions


@given(
    left=st.floats(0, 0.99),
    top=st.floats(0, 0.99),
    size=st.tuples(st.integers(1, 2000), st.integers(1, 2000)),
    share=st.floats(0.001, 1),
)
def test_a_region_lies_in_every_frame(
    left: float, top: float, size: tuple[int, int], share: float
) -> None:
    region = Region(left, top, (1 - left) * share, (1 - top) * share)
    frame = np.broadcast_to(np.uint8(0), (*size, 3))
    part = frame[region.rows_and_columns(frame)]
    assert part.size > 0
    for length, whole, fraction in zip(
        part.shape, size, (region.height, region.width), strict=False
    ):
        assert abs(length - whole * fraction) <= 1


def test_a_region_is_what_the_network_sees(
    colour_bundle: Path, tmp_path: Path, picture: Any
) -> None:
    import cv2

    halves = np.zeros((100, 200, 3), np.uint8)
    halves[:, :100, 2], halves[:, 100:, 0] = 255, 255  # red on the left, blue on the right
    path = tmp_path / "halves.png"
    cv2.imwrite(str(path), halves)
    for left, label in ((0.0, "red"), (0.5, "blue")):
        options = LiveOptions(region=Region(left, 0, 0.5, 1))
        (found,) = edgecnn.classify(str(path), colour_bundle, options=options)
        assert found.label == label


@pytest.mark.parametrize("text", ["1,2,3", "0,0,1,x", "0.5,0,0.6,1", "0,0,0,1", "-1,0,1,1"])
def test_a_region_that_makes_no_sense(text: str) -> None:
    with pytest.raises(EdgeCnnError, match="LEFT,TOP,WIDTH,HEIGHT"):
        Region.parse(text)


# Pace


def test_the_rate_limit_holds_and_does_not_bunch() -> None:
    pace, stop = Pace(max_fps=100), threading.Event()
    started = time.perf_counter()
    for _ in range(11):
        pace.wait(stop)
    assert time.perf_counter() - started >= 0.099
    time.sleep(0.1)  # a late frame
    late = time.perf_counter()
    for _ in range(6):
        pace.wait(stop)
    assert time.perf_counter() - late >= 0.049


def test_stop_ends_the_wait() -> None:
    pace, stop = Pace(max_fps=0.01), threading.Event()
    pace.wait(stop)
    threading.Timer(0.05, stop.set).start()
    pace.wait(stop)
    assert stop.is_set()


def feed(limit: AgeLimit, age_ms: float, fps: float, seconds: float, clock: float) -> float:
    for n in range(round(seconds * fps)):
        limit.note(age_ms, clock + n / fps)
    return clock + seconds


def test_old_frames_lower_the_rate_and_young_ones_lift_the_limit() -> None:
    limit = AgeLimit(100)
    clock = feed(limit, 150, fps=30, seconds=4, clock=0)
    assert limit.fps == pytest.approx(24, rel=0.05)
    clock = feed(limit, 150, fps=24, seconds=10, clock=clock)
    clock = feed(limit, 90, fps=24, seconds=10, clock=clock)
    lowered = limit.fps
    assert lowered is not None
    assert lowered < 20
    # In between nothing changes.
    clock = feed(limit, 90, fps=lowered, seconds=30, clock=clock)
    assert limit.fps == lowered
    # The source gives 30 at most: beyond that a limit means nothing.
    while limit.fps is not None and clock < 1000:
        clock = feed(limit, 20, fps=min(30, limit.fps), seconds=10, clock=clock)
    assert limit.fps is None


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(1e-4, 5)), max_size=400))
def test_the_rate_stays_in_bounds(notes: list[tuple[float, float]]) -> None:
    limit, clock = AgeLimit(100, max_fps=20), 0.0
    for age, passed in notes:
        clock += passed
        before = limit.fps
        said = limit.note(age, clock)
        assert limit.fps is not None
        assert min(LOWEST_FPS, before or 0) <= limit.fps <= 20
        assert (said is None) == (limit.fps == before)
