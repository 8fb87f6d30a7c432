"""The report's drawings of a run along its time, and under the roofline."""

from collections.abc import Callable
from typing import Any

import pytest

from edgecnn.analysis import analyze
from edgecnn.targets.board.target import detect
from edgecnn.targets.board.telemetry import Telemetry
from edgecnn.targets.engines.layer_times import LayerTime, joined
from edgecnn.targets.profiling import report
from edgecnn.targets.profiling.disturbance import Disturbance
from edgecnn.targets.profiling.profile import (
    Profile,
    ProfileRun,
)
from edgecnn.targets.profiling.report.over_time import PANEL_HEIGHT, POINTS, course
from edgecnn.targets.profiling.report.roofline import roofline
from edgecnn.targets.profiling.roofline import (
    Roofline,
    copy_bytes_per_s,
    measure_roofline,
    moved_bytes,
)
from edgecnn.targets.profiling.timeline import Drift, Moment

Make = Callable[..., ProfileRun]


@pytest.fixture
def run(profile_run: Make) -> Make:
    """One that warms from 40 °C up by a degree a second, and slows from 2 ms by 1%."""

    def made(seconds: int = 1, **changed: Any) -> ProfileRun:
        samples = tuple(2.0 * 1.01**i for i in range(seconds) for _ in range(10))
        along = tuple(
            Moment(
                i, 10, samples[10 * i], samples[10 * i], Telemetry(40.0 + i), Disturbance(0.0, None)
            )
            for i in range(seconds)
        )
        return profile_run(samples, moments=along, drift=Drift.of(along, samples), **changed)

    return made


def points(line: str) -> list[tuple[float, float]]:
    pairs = (point.split(",") for point in line.split())
    return [(float(x), float(y)) for x, y in pairs]


def test_heat_and_latency_stand_above_one_time(run: Make) -> None:
    found = course(run(60))
    assert found is not None
    titles = [panel.title for panel in found.panels]
    assert titles == ["latency, ms", "other programs, cores", "temperature, °C"]
    (heat,) = found.panels[2].lines
    assert len(points(heat.points)) == 60
    heights = [y for _, y in points(heat.points)]
    assert heights == sorted(heights, reverse=True)
    assert all(0 <= y <= PANEL_HEIGHT for y in heights)
    assert "p90 of the first 15 s" in found.summary
    assert course(run(2)) is None


def test_ten_minutes_are_drawn_with_no_more_points_than_pixels(run: Make) -> None:
    found = course(run(600))
    assert found is not None
    assert 100 < len(points(found.panels[0].lines[0].points)) <= POINTS


def test_each_operator_lies_under_the_roof_where_it_should(run: Make) -> None:
    analysis = analyze("mobilenet_v2").to_json()
    layers = [layer for layer in analysis["layers"] if layer["macs"]]
    ceilings = Roofline(int8_gmacs_per_s=200.0, memory_gbytes_per_s=10.0)
    # Each takes as long as the roofline says it must, so all lie on the roof.
    times = [
        LayerTime(
            layer["name"],
            layer["type"],
            layer["macs"] / ceilings.attainable(layer["macs"] / moved_bytes(layer, "int8")) / 1e6,
        )
        for layer in layers
    ]
    found = roofline(run(layers=joined(times, layers), roofline=ceilings), analysis)
    assert found is not None
    (_, low), (bend, flat), (end, flat_too) = points(found.roof)
    assert flat == flat_too < low
    assert len(found.layers) == len(layers)
    for dot in found.layers:
        if dot.x >= bend:
            assert dot.y == pytest.approx(flat, abs=0.1)
        else:
            assert flat < dot.y < low
        assert dot.x <= end
    assert "of what is attainable" in found.summary


def test_the_layers_of_the_analysis_say_what_they_read() -> None:
    layers = {layer.name: layer for layer in analyze("mobilenet_v2").layers}
    add = next(layer for layer in layers.values() if layer.type.startswith("add"))
    assert add.input_bytes == 2 * add.output_bytes
    assert layers["Conv1"].input_bytes == 224 * 224 * 3
    assert moved_bytes(analyze("lenet5").to_json()["layers"][1], "int8") == (
        32 * 32 + 6 * 26 + 28 * 28 * 6
    )


def test_an_older_bundle_has_no_roofline(run: Make) -> None:
    analysis = analyze("lenet5").to_json()
    with_roof = run(roofline=Roofline(200.0, 10.0))
    assert roofline(with_roof, analysis) is not None
    for layer in analysis["layers"]:
        del layer["input_bytes"]
    assert roofline(with_roof, analysis) is None


def test_the_page_holds_both(run: Make) -> None:
    profile = Profile(
        "x86",
        "a board",
        "a cpu",
        {},
        "net-int8",
        "random",
        (run(30, roofline=Roofline(200.0, 10.0)),),
    )
    text = report.render(profile, analyze("lenet5").to_json())
    assert "Sustained against burst" in text
    assert text.count('class="roof"') == 1
    assert "temperature, °C" in text


def test_the_ceilings_are_measured_here() -> None:
    found = measure_roofline("litert", 1, detect())
    assert 0.1 < found.int8_gmacs_per_s < 10_000
    assert found.memory_gbytes_per_s > 0.1
    assert copy_bytes_per_s(2, 10_000_000) > 1e8
