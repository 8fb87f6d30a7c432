"""A run along its time: what was read of the machine, and whether the latency held."""

import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecnn.targets.board.target import detect
from edgecnn.targets.board.telemetry import Telemetry
from edgecnn.targets.profiling.disturbance import Disturbance
from edgecnn.targets.profiling.observer import Observer, Reading
from edgecnn.targets.profiling.timeline import Drift, Moment, joined, moments, reasons

QUIET = Disturbance(others=0.1, stolen=0.0)
BUSY_LOOP = [sys.executable, "-c", "while True: pass"]
SLEEP = [sys.executable, "-c", "import time; time.sleep(30)"]


def along(*p90s: float, count: int = 10, **read: Any) -> tuple[Moment, ...]:
    telemetry = Telemetry(**read)
    return tuple(Moment(i, count, p90, p90, telemetry, QUIET) for i, p90 in enumerate(p90s))


def test_each_second_has_its_latencies_and_the_nearest_reading() -> None:
    readings = [Reading(100.0 + i, Telemetry(40.0 + i), QUIET) for i in range(4)]
    found = moments([(0, 3), (2, 1)], [1.0, 2.0, 3.0, 9.0], 100.6, readings)
    assert [(m.time_s, m.count, m.p50_ms, m.p90_ms) for m in found] == [(0, 3, 2, 3), (2, 1, 9, 9)]
    assert [m.telemetry.temperature_c for m in found] == [41.0, 43.0]
    assert found[0].to_json()["temperature_c"] == 41.0


def test_processes_stand_on_one_time() -> None:
    found = joined([along(1.0, 1.0), along(2.0)], [50.0, 53.25])
    assert [moment.time_s for moment in found] == [0, 1, 3.25]


def test_what_happened_in_the_midst_makes_a_run_invalid() -> None:
    assert reasons(along(1.0, 1.0, throttled=()), [QUIET]) == ()
    hot = along(1.0, throttled=("under-voltage", "clock capped"))
    expected = "throttled: under-voltage, clock capped"
    assert reasons(along(1.0) + hot + hot, [QUIET]) == (expected,)
    other = Moment(7, 10, 1.0, 1.0, Telemetry(), Disturbance(others=0.9, stolen=0.6))
    assert reasons((*along(1.0), other), [QUIET]) == (
        "other programs used 0.9 cores for a second",
        "the hypervisor took 0.6 cores for a second",
    )
    busy = [QUIET, Disturbance(0.3, 0.0), Disturbance(0.4, None)]
    assert reasons((*along(1.0), other), busy) == ("other programs used 0.4 cores",)
    unknown = Disturbance(None, None)
    assert reasons([Moment(0, 10, 1.0, 1.0, Telemetry(), unknown)], [unknown]) == ()


def test_a_run_that_slows_down_is_seen_and_a_steady_one_is_not() -> None:
    rng = np.random.default_rng(0)
    latencies = 10 + rng.exponential(0.1, 6000)
    steady = Drift.of(along(*[10.0] * 120, count=50), latencies.tolist())
    assert steady is not None
    assert steady.part_s == 30
    low, high = steady.change_interval
    assert low < 0 < high
    latencies[3000:] *= 1.5
    slowed = Drift.of(along(*[10.0] * 120, count=50), latencies.tolist())
    assert slowed is not None
    assert slowed.change == pytest.approx(0.5, abs=0.02)
    assert slowed.change_interval[0] > 0.45
    assert slowed.sustained_p90_ms == pytest.approx(1.5 * slowed.burst_p90_ms, rel=0.02)
    assert Drift.of(along(*[10.0] * 19), [10.0] * 190) is None


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 5), min_size=21, max_size=60))
def test_both_parts_hold_samples(counts: list[int]) -> None:
    times = tuple(Moment(i, n, 1.0, 1.0, Telemetry(), QUIET) for i, n in enumerate(counts))
    samples = [float(i + 1) for i, n in enumerate(counts) for _ in range(n)]
    found = Drift.of(times, samples)
    assert found is not None
    assert found.burst_p90_ms <= found.part_s
    assert found.sustained_p90_ms > len(counts) - found.part_s


def test_others_at_work_are_seen_and_the_measured_one_is_not() -> None:
    with subprocess.Popen(BUSY_LOOP) as measured, subprocess.Popen(SLEEP) as idle:
        with Observer(detect(), measured.pid) as own, Observer(detect(), idle.pid) as foreign:
            time.sleep(2.5)
        for process in (measured, idle):
            process.kill()
    assert min(len(own.readings), len(foreign.readings)) >= 2
    mine, theirs = (
        np.mean([reading.disturbance.others for reading in observer.readings[1:]])
        for observer in (own, foreign)
    )
    # To whoever watches the sleeper, the busy loop is others' work.
    assert theirs > mine


def test_it_ends_with_the_process() -> None:
    short = subprocess.Popen([sys.executable, "-c", ""])
    with Observer(detect(), short.pid) as observer:
        short.wait()
        time.sleep(1.5)
    assert len(observer.readings) <= 1
