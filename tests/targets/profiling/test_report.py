"""The HTML report of a profile."""

import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgecnn
from edgecnn.analysis import analyze
from edgecnn.errors import EdgeCnnError, MissingExtra
from edgecnn.targets.board.telemetry import Telemetry
from edgecnn.targets.profiling import report
from edgecnn.targets.profiling.disturbance import Disturbance
from edgecnn.targets.profiling.profile import (
    Distribution,
    EndToEnd,
    Intervals,
    MemoryBytes,
    PredictedBytes,
    Profile,
    ProfileRun,
)
from edgecnn.targets.profiling.report import charts
from edgecnn.targets.profiling.timeline import Moment

VOID = {"meta", "link", "br"}


def run(samples: tuple[float, ...] = (2.0, 2.5, 3.0), **changed: Any) -> ProfileRun:
    made = ProfileRun(
        runtime="litert",
        engine="ai-edge-litert 2.3.0",
        precision="int8",
        threads=2,
        count=len(samples),
        latency_ms=Distribution.of(samples),
        latency_interval_ms=Intervals.of([samples]),
        samples_ms=samples,
        process_counts=(len(samples),),
        warmup_count=20,
        cpu_ms=4.0,
        end_to_end_ms=EndToEnd(0.1, 0.1, 2.5, 0.1, 2.8, 3.4),
        load_ms=20.0,
        first_inference_ms=3.0,
        memory_bytes=MemoryBytes(60_000_000, 80_000_000, 90_000_000, 95_000_000, None),
        artifact_bytes=5_000_000,
        thermal={"before": {"temperature_c": 41.0, "governor": None}, "after": {}},
        moments=(Moment(0, len(samples), 2.5, 3.0, Telemetry(41.0), Disturbance(None, None)),),
        valid=True,
        invalid_reasons=(),
        predicted_bytes=PredictedBytes(10_000_000, 2_000_000, 1_000_000, 77_000_000, 90_000_000),
    )
    return replace(made, **changed)


def profile(*runs: ProfileRun) -> Profile:
    return Profile("x86", "a <board>", "a & cpu", {"python": "3.11"}, "net-int8", "random", runs)


class Page(HTMLParser):
    """Tags as they open and close, and every address."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nobody() -> None:
    analysis = analyze("lenet5").to_json()
    text = report.render(profile(run(), run(runtime="onnxruntime")), analysis)
    page = Page(text)
    assert page.open == []
    assert "script" not in page.tags
    assert page.addresses == ["data:,"]
    assert "url(" not in text
    assert "a &lt;board&gt; (a &amp; cpu)" in text
    assert text.count("<h3>") == 4
    assert "c1" in text
    peak = max(analysis["layers"], key=lambda layer: layer["live_bytes"])
    assert f"▼ {peak['name']}: {peak['live_bytes'] / 1e6:.3f} MB" in text
    assert "5.0 MB too little (-5.3% of the process, -14.3% of what" in text


def test_a_bundle_without_analysis_and_a_disturbed_run_are_told() -> None:
    text = report.render(
        profile(run(predicted_bytes=None, valid=False, invalid_reasons=("<others> worked",))), None
    )
    assert Page(text).open == []
    assert "no prediction" in text
    assert "Memory over the layers" not in text
    assert "&lt;others&gt; worked" in text


@settings(deadline=None)
@given(st.lists(st.floats(0.001, 1e4), min_size=1, max_size=200))
def test_the_histogram_shows_every_sample_inside_the_drawing(samples: list[float]) -> None:
    chart = charts.histogram(run(tuple(samples)))
    shown = sum(int(bar.title.split(": ")[1].split()[0]) for bar in chart.bars)
    assert shown == len(samples)
    for bar in chart.bars:
        assert -1e-6 <= bar.x <= charts.WIDTH
        assert 0 < bar.height <= charts.HISTOGRAM_HEIGHT
    p50, p90, p99 = (mark.at for mark in chart.percentiles)
    assert -1e-6 <= p50 <= p90 <= p99 <= charts.WIDTH + 1e-6


@settings(deadline=None)
@given(st.lists(st.integers(1, 10**9), min_size=5, max_size=5), st.booleans())
def test_bars_add_up_and_the_gap_joins_them(sizes: list[int], less: bool) -> None:
    before, load, first, later, gap = sizes
    peak = before + load + first + later
    predicted = max(4, peak - gap if less else peak + gap)
    parts = PredictedBytes(1, 1, 1, predicted - 3, predicted)
    memory = MemoryBytes(before, before + load, before + load + first, peak, None)
    (found,) = charts.comparisons([run(memory_bytes=memory, predicted_bytes=parts)])
    ends = [bars[-1].x + bars[-1].width for bars in (found.predicted, found.measured)]
    assert found.gap is not None
    assert found.gap.x == pytest.approx(min(ends))
    assert found.gap.x + found.gap.width == pytest.approx(max(ends))
    assert max(ends) == pytest.approx(charts.WIDTH)


def test_the_peak_is_marked_at_its_layer() -> None:
    analysis = analyze("efficientnet_lite0").to_json()
    found = charts.timeline(analysis)
    (peak,) = [bar for bar in found.bars if bar.kind == "peak"]
    assert peak.height == max(bar.height for bar in found.bars)
    assert peak.x <= found.peak.at <= peak.x + peak.width
    assert found.arena == pytest.approx(
        charts.TIMELINE_HEIGHT - peak.height * analysis["arena_bytes"] / 1_505_280
    )


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EdgeCnnError, match="Cannot write"):
        report.write("", tmp_path / "none" / "page.html")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtra, match=r"edgecnn\[report\]"):
        report.check_installed()


def test_the_command_writes_it(colour_bundle: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    options = ["--runtime", "litert", "--runs", "5", "--seconds", "0", "--processes", "1"]
    command = [sys.executable, "-m", "edgecnn", "profile", str(colour_bundle), *options]
    done = subprocess.run([*command, "--html", str(page)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Page(page.read_text()).open == []
    assert edgecnn.Bundle.load(colour_bundle).name in page.read_text()
