"""The arithmetic of choosing: fronts, rates, intervals."""

import math
from typing import Any

import numpy as np
import pytest
from click import BadParameter
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgecnn.choosing import analyses
from edgecnn.choosing.front import Candidate, Figure, Limits, beats, front, nearest
from edgecnn.choosing.latency import FEWEST, Reference
from edgecnn.choosing.rates import ROUGH, Rates, errors_left_out, fitted, half_width
from edgecnn.choosing.work import CLASSES, work_of
from edgecnn.cli.choose import parse_bytes

shares = st.one_of(st.none(), st.floats(0.1, 1))
amounts = st.integers(1, 6).map(float)  # few values, so that candidates tie
places = st.sampled_from(("one", "other", "third"))


def figure(value: float, spread: float = 0.1) -> Figure:
    return Figure(value, value * (1 - spread), value * (1 + spread), "predicted", "a test")


candidates = st.builds(
    lambda name, ms, ram, right, engine: Candidate(
        *(name, 224, "int8", engine, 1, figure(ms), figure(ram)),
        None if right is None else figure(right),
    ),
    *(places, amounts, amounts, shares, st.sampled_from(("litert", "openvino"))),
)


@given(st.lists(candidates, max_size=12))
def test_a_front_holds_what_nothing_beats_and_only_that(some: list[Candidate]) -> None:
    found = front(some)
    for one in some:
        beaten = any(beats(other, one) for other in some)
        assert beaten != any(one is kept for kept in found)


@given(candidates, candidates, candidates)
def test_beating_is_an_order(a: Candidate, b: Candidate, c: Candidate) -> None:
    assert not beats(a, a)
    assert not (beats(a, b) and beats(b, a))
    if None not in (a.accuracy, b.accuracy, c.accuracy) and beats(a, b) and beats(b, c):
        assert beats(a, c)


@given(st.lists(candidates, min_size=1, max_size=12), amounts, amounts)
def test_the_nearest_misses_least(some: list[Candidate], ms: float, ram: float) -> None:
    limits = Limits(ms, ram)
    _, misses = nearest(some, limits)
    worst = max(misses.values(), default=0.0)
    assert all(worst <= max(limits.missed(other).values(), default=0.0) for other in some)
    assert (misses == {}) == any(not limits.missed(other) for other in some)


@given(candidates, amounts)
def test_what_is_sure_is_within(one: Candidate, ms: float) -> None:
    limits = Limits(latency_ms=ms)
    if limits.surely(one):
        assert not limits.missed(one)


works = st.lists(
    st.lists(st.floats(0.01, 100), min_size=len(CLASSES), max_size=len(CLASSES)),
    min_size=1,
    max_size=6,
).map(np.array)


@settings(max_examples=25)
@given(works, st.floats(0.01, 100))
def test_a_processor_that_is_so_much_faster_is_so_at_everything(work: Any, factor: float) -> None:
    ms = ROUGH.ms(work) * factor
    rates = fitted(work, ms, ROUGH)
    assert (rates.values > 0).all()
    assert rates.ms(work) == pytest.approx(ms, rel=0.02)
    assert rates.values / ROUGH.values == pytest.approx(factor, rel=0.02)


@settings(max_examples=25)
@given(works, st.integers(0, len(CLASSES) - 1), st.floats(0.1, 10))
def test_more_work_takes_longer(work: Any, place: int, more: float) -> None:
    rates = fitted(work, ROUGH.ms(work))
    added = work[0].copy()
    added[place] += more
    assert rates.ms(added) > rates.ms(work[0])


def test_each_network_moves_the_rates_towards_what_it_says() -> None:
    rng = np.random.default_rng(0)
    work = rng.lognormal(0, 2, (60, len(CLASSES)))
    truth = Rates(ROUGH.values * np.exp(rng.normal(0, 0.5, len(CLASSES))))
    ms, test = truth.ms(work), rng.lognormal(0, 2, (200, len(CLASSES)))
    errors = [
        np.abs(np.log(fitted(work[:n], ms[:n], ROUGH).ms(test) / truth.ms(test))).mean()
        for n in (1, 10, 60)
    ]
    assert errors[2] < errors[1] < errors[0]


def test_a_time_that_is_wrong_does_not_carry_the_others_away() -> None:
    work = np.random.default_rng(0).uniform(1, 100, (20, len(CLASSES)))
    ms = ROUGH.ms(work)
    wrong = ms.copy()
    wrong[0] *= 20
    rates = fitted(work, wrong, ROUGH)
    assert np.abs(np.log(rates.ms(work)[1:] / ms[1:])).max() < 0.1


def test_a_network_that_is_left_out_has_no_part_in_its_prediction() -> None:
    work = np.random.default_rng(0).uniform(1, 100, (6, len(CLASSES)))
    ms = ROUGH.ms(work)
    ms[:2] *= 3
    names = ["odd", "odd", "a", "b", "c", "d"]
    errors = errors_left_out(work, ms, names, ROUGH)
    assert errors[:2] == pytest.approx([-math.log(3)] * 2, abs=0.05)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=60), st.floats(0.5, 0.95))
def test_an_interval_holds_the_share_it_says_of_what_it_was_made_from(
    errors: list[float], coverage: float
) -> None:
    width = half_width(np.array(errors), coverage)
    held = sum(abs(error) <= width for error in errors)
    assert held >= coverage * len(errors)
    assert width <= half_width(np.array(errors), 0.95)


def test_an_interval_holds_the_next_one_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    for count in (FEWEST, 30):
        held = [abs(rng.standard_t(2)) <= half_width(rng.standard_t(2, count)) for _ in range(4000)]
        assert 0.89 < np.mean(held) < 0.94
    assert math.isinf(half_width(rng.standard_normal(FEWEST - 1)))


@given(st.integers(0, 40))
def test_more_networks_never_widen_an_interval(count: int) -> None:
    known = Reference.load()
    assert 0 < known.half_width(count + 1) <= known.half_width(count)


@pytest.mark.parametrize("precision", analyses.PRECISIONS)
def test_all_work_grows_with_the_input(precision: str) -> None:
    small, large = (work_of(analyses.known("mobilenet_v2", side, precision)) for side in (128, 224))
    of_weights = [CLASSES.index(name) for name in ("dense", "weights", "operators")]
    assert (small <= large).all()
    assert small[of_weights] == pytest.approx(large[of_weights])
    assert small[CLASSES.index("pointwise")] < 0.4 * large[CLASSES.index("pointwise")]


def test_multiplications_are_counted_once() -> None:
    for name in ("resnet50", "mobilenet_v2", "resnext50_32x4d", "googlenet"):
        analysis = analyses.known(name, 224, "int8")
        dense = sum(x["macs"] for x in analysis["layers"] if x["type"].startswith("dense"))
        work = dict(zip(CLASSES, work_of(analysis), strict=True))
        kinds = ("pointwise", "convolution", "stem", "grouped", "depthwise")
        assert sum(work[kind] for kind in kinds) == pytest.approx((analysis["macs"] - dense) / 1e6)
        assert bool(work["grouped"]) == (name == "resnext50_32x4d")


def test_what_is_kept_of_the_zoo_is_what_its_networks_are() -> None:
    for name in ("lenet5", "mobilenet_v3_small"):
        side = analyses.sides(name)[0]
        for precision, analysis in analyses.computed(name, side).items():
            known = analyses.known(name, side, precision)
            kept = (*analyses.KEPT, "input_bytes")
            rows = [[layer[key] for key in kept] for layer in known["layers"]]
            listed = [
                [list(x) if isinstance(x, tuple) else x for x in row] for row in analysis["layers"]
            ]
            assert rows == listed
            assert known["arena_bytes"] == analysis["arena_bytes"]


@pytest.mark.parametrize(
    ("text", "count"),
    [("200MB", 200e6), ("200", 200e6), ("1.5 GB", 1.5e9), ("64MiB", 64 * 2**20)],
)
def test_sizes_are_read_as_people_write_them(text: str, count: float) -> None:
    assert parse_bytes(None, None, text) == count  # type: ignore[arg-type]


@given(st.text(max_size=8))
def test_what_is_no_size_is_refused(text: str) -> None:
    try:
        found = parse_bytes(None, None, text)  # type: ignore[arg-type]
    except BadParameter:
        return
    assume(found is not None)
    assert found is not None
    assert found > 0
