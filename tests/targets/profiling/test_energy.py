"""Energy of an inference: what a battery loses by it, beyond the idle board."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.comparison.figure import Limits
from edgecnn.comparison.profiles import figures
from edgecnn.targets.board.machine import Machine
from edgecnn.targets.board.readings import rapl
from edgecnn.targets.board.target import detect
from edgecnn.targets.board.telemetry import Telemetry
from edgecnn.targets.board.x86 import X86
from edgecnn.targets.engines import probe
from edgecnn.targets.profiling.disturbance import Disturbance
from edgecnn.targets.profiling.energy import FEWEST_S, Energy, idle_w
from edgecnn.targets.profiling.profiler import profile
from edgecnn.targets.profiling.timeline import Moment

QUIET = Disturbance(0.0, 0.0)


def seconds(*powers: float | None, count: int = 50) -> list[Moment]:
    return [
        Moment(i, count, 1.0, 1.0, Telemetry(power_w=power), QUIET)
        for i, power in enumerate(powers)
    ]


@given(st.floats(0.5, 20), st.floats(0.5, 50), st.integers(1, 5000), st.integers(FEWEST_S + 2, 40))
def test_steady_powers_give_their_difference_through_the_rate(
    idle: float, more: float, rate: int, length: int
) -> None:
    run = seconds(*[idle + more] * length, count=rate)
    found = Energy.of([run], [idle] * 10)
    assert found is not None
    assert found.mj == pytest.approx(1000 * more / rate)
    low, high = found.mj_interval
    assert low <= found.mj <= high
    assert high / low < 1.001, "nothing varies"


def test_seconds_half_full_of_inferences_do_not_count() -> None:
    run = seconds(*[7.0] * (FEWEST_S + 2))
    run[0] = seconds(4.0, count=1)[0]
    run[-1] = seconds(3.0, count=2)[0]
    found = Energy.of([run], [2.0] * 10)
    assert found is not None
    assert found.mj == pytest.approx(100)
    assert (found.running_w, found.idle_w) == (7.0, 2.0)


@pytest.mark.parametrize(
    ("run", "idle"),
    [
        (seconds(*[7.0] * 60), ()),
        (seconds(*[None] * 60), (2.0,) * 10),
        (seconds(*[7.0] * 20, None, *[7.0] * 20), (2.0,) * 10),
        (seconds(*[7.0] * (FEWEST_S + 1)), (2.0,) * 10),
        (seconds(*[2.0] * 60), (2.0,) * 10),
        (seconds(7.0), (2.0,) * 10),
    ],
)
def test_nothing_is_said_where_nothing_is_known(run: list[Moment], idle: tuple[float, ...]) -> None:
    assert Energy.of([run, run[:1]], idle) is None


def test_the_interval_covers_the_truth() -> None:
    """Power that differs by second, by process and idle: 95% of intervals hold 100 mJ."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        by_process = rng.normal(0, 0.15, 3)
        runs = [seconds(*7 + shift + rng.normal(0, 0.3, 12)) for shift in by_process]
        found = Energy.of(runs, list(2 + rng.normal(0, 0.1, 10)))
        assert found is not None
        low, high = found.mj_interval
        covered += low <= 100 <= high
    assert covered >= 180


def test_a_board_without_sensors_is_not_watched() -> None:
    started = time.monotonic()
    assert idle_w(detect(Machine(Path("/nowhere"), "x86_64"))) == ()
    assert time.monotonic() - started < 1


def report(energy: Energy | None) -> dict[str, object]:
    run = {
        "runtime": "litert",
        "threads": 1,
        "engine": "ai-edge-litert 2",
        "latency_ms": {"p50": 1.0, "p90": 1.0, "p99": 1.0},
        "samples_ms": [1.0] * 30,
        "process_counts": [10, 10, 10],
        "count": 30,
        "invalid_reasons": [],
        "memory_bytes": {"peak": 1},
        "predicted_bytes": None,
        "energy": None if energy is None else vars(energy),
    }
    return {"board": "b", "cpu": "c", "runs": [run]}


def test_two_profiles_are_judged_by_it() -> None:
    old, same, more = (Energy(mj, (mj * 0.98, mj * 1.02), 7.0, 2.0) for mj in (100.0, 101.0, 120.0))

    def verdict(new: Energy | None) -> list[str]:
        found, _ = figures(report(old), report(new), Limits())
        return [figure.verdict for figure in found if figure.name == "energy"]

    assert verdict(same) == ["ok"]
    assert verdict(more) == ["regression"]
    assert verdict(None) == []


@pytest.fixture
def counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """A processor's energy counters, which go by the watts in the list."""
    folder = tmp_path / "intel-rapl:0"
    folder.mkdir()
    (folder / "name").write_text("package-0\n")
    (folder / "max_energy_range_uj").write_text(f"{1 << 60}\n")
    (folder / "energy_uj").write_text("0\n")
    monkeypatch.setattr(rapl, "FOLDER", str(tmp_path))
    watts, stop = [5.0], threading.Event()

    def count() -> None:
        energy, last = 0.0, time.perf_counter()
        while not stop.wait(0.01):
            now = time.perf_counter()
            energy, last = energy + watts[0] * 1e6 * (now - last), now
            new = folder / "new"
            new.write_text(f"{energy:.0f}\n")
            new.replace(folder / "energy_uj")

    thread = threading.Thread(target=count)
    thread.start()
    yield watts
    stop.set()
    thread.join()


@pytest.mark.slow
def test_a_profile_with_power_says_it(counters: list[float]) -> None:
    """Real inferences, and counters that go three times as fast once they begin."""
    if not isinstance(detect(), X86):
        pytest.skip("energy counters are x86's")

    def doing(what: str) -> None:
        counters[0] = 5.0 if "idle" in what else 15.0

    found = profile(
        probe.bundle("colours").path,
        runtimes="litert",
        threads=1,
        seconds=14,
        processes=1,
        progress=doing,
    )
    energy = found.runs[0].energy
    assert energy is not None
    assert energy.idle_w == pytest.approx(5, abs=0.5)
    assert energy.running_w == pytest.approx(15, abs=0.5)
    rate = sum(m.count for m in found.runs[0].moments[1:-1]) / len(found.runs[0].moments[1:-1])
    assert energy.mj == pytest.approx(1000 * 10 / rate, rel=0.15)
    assert found.to_json()["runs"][0]["energy"]["mj"] == energy.mj
