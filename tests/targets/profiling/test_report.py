"""The HTML report of a profile."""

import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgecnn
from edgecnn.analysis import analyze
from edgecnn.errors import EdgeCnnError, MissingExtra
from edgecnn.targets.profiling import report
from edgecnn.targets.profiling.profile import (
    MemoryBytes,
    PredictedBytes,
    Profile,
    ProfileRun,
)
from edgecnn.targets.profiling.report import charts

VOID = {"meta", "link", "br"}


PREDICTED = PredictedBytes(10_000_000, 2_000_000, 1_000_000, 77_000_000, 90_000_000)
Make = Callable[..., ProfileRun]


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


def test_the_page_is_whole_and_needs_nobody(profile_run: Make) -> None:
    analysis = analyze("lenet5").to_json()
    runs = [
        profile_run(runtime=name, predicted_bytes=PREDICTED) for name in ("litert", "onnxruntime")
    ]
    text = report.render(profile(*runs), analysis)
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


def test_a_bundle_without_analysis_and_a_disturbed_run_are_told(profile_run: Make) -> None:
    disturbed = profile_run(valid=False, invalid_reasons=("<others> worked",))
    text = report.render(profile(disturbed), None)
    assert Page(text).open == []
    assert "no prediction" in text
    assert "Memory over the layers" not in text
    assert "&lt;others&gt; worked" in text


@settings(deadline=None)
@given(st.lists(st.floats(0.001, 1e4), min_size=1, max_size=200))
def test_the_histogram_shows_every_sample_inside_the_drawing(
    profile_run: Make, samples: list[float]
) -> None:
    chart = charts.histogram(profile_run(tuple(samples)))
    shown = sum(int(bar.title.split(": ")[1].split()[0]) for bar in chart.bars)
    assert shown == len(samples)
    for bar in chart.bars:
        assert -1e-6 <= bar.x <= charts.WIDTH
        assert 0 < bar.height <= charts.HISTOGRAM_HEIGHT
    p50, p90, p99 = (mark.at for mark in chart.percentiles)
    assert -1e-6 <= p50 <= p90 <= p99 <= charts.WIDTH + 1e-6


@settings(deadline=None)
@given(st.lists(st.integers(1, 10**9), min_size=5, max_size=5), st.booleans())
def test_bars_add_up_and_the_gap_joins_them(
    profile_run: Make, sizes: list[int], less: bool
) -> None:
    before, load, first, later, gap = sizes
    peak = before + load + first + later
    predicted = max(4, peak - gap if less else peak + gap)
    parts = PredictedBytes(1, 1, 1, predicted - 3, predicted)
    memory = MemoryBytes(before, before + load, before + load + first, peak, None)
    (found,) = charts.comparisons([profile_run(memory_bytes=memory, predicted_bytes=parts)])
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


def test_an_analysis_is_a_page_too() -> None:
    from edgecnn.analysis import analyze
    from edgecnn.targets.profiling.report import render_analysis

    found = analyze("lenet5")
    page = render_analysis(found.to_json())
    for layer in found.layers:
        assert f"<title>{layer.name}: {layer.live_bytes:,} bytes alive" in page
    assert "61,706" in page
    assert "http" not in page


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
