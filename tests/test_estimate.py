"""Accuracy over all frames from a few of them: how often the interval holds the truth."""

import numpy as np
import pytest

from edgecnn import estimate

FRAMES, RUNS = 8000, 150


def stream(seed: int, accuracy: float) -> tuple[np.random.Generator, np.ndarray, np.ndarray]:
    """Which frames two networks are right on: hard times last, as in front of a camera."""
    rng = np.random.default_rng(seed)
    hardness = np.repeat(rng.beta(4 * accuracy, 4 * (1 - accuracy), FRAMES // 50), 50)
    old = rng.random(FRAMES) < hardness
    new = np.where(rng.random(FRAMES) < 0.1, rng.random(FRAMES) < accuracy, old)
    return rng, old, new


@pytest.mark.parametrize("accuracy", [0.6, 0.9, 0.98])
@pytest.mark.parametrize("uneven", [False, True])
def test_intervals_hold_the_truth(accuracy: float, uneven: bool) -> None:
    held = held_difference = 0
    for seed in range(RUNS):
        rng, old, new = stream(seed, accuracy)
        inclusion = np.full(FRAMES, 150 / FRAMES)
        if uneven:  # hard frames come when others come too, and are kept less often
            inclusion *= np.where(old, 1.2, 0.8)
        kept = rng.random(FRAMES) < inclusion
        found = estimate.share(old[kept], inclusion[kept])
        held += found.low <= old.mean() <= found.high
        change = estimate.difference(old[kept], new[kept], inclusion[kept])
        held_difference += change.low <= new.mean() - old.mean() <= change.high
    assert held / RUNS >= 0.93
    assert held_difference / RUNS >= 0.93


def test_equal_weights_give_the_plain_share() -> None:
    found = estimate.share([True] * 9 + [False], [0.01] * 10)
    assert found.count == 10
    assert (found.value, found.effective) == pytest.approx((0.9, 10))
    # Clopper and Pearson for 9 of 10.
    assert found.interval == pytest.approx((0.5550, 0.9975), abs=1e-3)
    # A frame that stands for many tells what many would, and not as surely.
    skewed = estimate.share([True] * 9 + [False], [0.01] * 9 + [0.001])
    assert skewed.value == pytest.approx(9 / 19)
    assert skewed.effective < 4


def test_a_difference_of_what_is_alike_is_nothing() -> None:
    right = [True, False] * 50
    found = estimate.difference(right, right, [0.5] * 100)
    assert found.value == 0
    assert found.low == pytest.approx(-found.high)
    assert found.high < 0.02
    better = estimate.difference(right, [True] * 100, [0.5] * 100)
    assert better.value == pytest.approx(0.5)
    assert 0.38 < better.low < better.high < 0.62


@pytest.mark.parametrize("inclusion", [[], [0.0], [1.5], [float("nan")]])
def test_what_no_estimate_rests_on(inclusion: list[float]) -> None:
    with pytest.raises(ValueError, match="known probability"):
        estimate.share([True] * len(inclusion), inclusion)


def test_labels_given_to_easy_frames_first_do_not_move_it() -> None:
    stream = [("c", True), ("a", False), ("d", None), ("b", True), ("e", True)]
    assert estimate.known_in_order(stream) == [False, True, True]
    assert estimate.known_in_order([("a", None), ("b", True)]) == []
