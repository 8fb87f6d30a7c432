"""Known boards, and whether a network fits them."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecnn.analysis import analyze
from edgecnn.errors import RuntimeUnavailable, UnknownName
from edgecnn.preprocessing import FramePreparer, Preprocessing
from edgecnn.targets.board.target import TARGETS
from edgecnn.targets.engines import probe, runtimes
from edgecnn.targets.live.frame_memory import frame_bytes
from edgecnn.targets.live.sources import open_frames
from edgecnn.targets.live.sources.newest import BUFFERS
from edgecnn.targets.profiling import catalogue
from edgecnn.targets.profiling.catalogue import Fit, KnownBoard
from edgecnn.targets.profiling.profile import PredictedBytes

FOLDER = Path(__file__).parents[3] / "targets" / "profiling" / "catalogue"


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGECNN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize("name", catalogue.names())
def test_a_board_is_plausible_and_says_where_its_figures_are_from(name: str) -> None:
    board = catalogue.load(name)
    assert board.kind in TARGETS
    assert name.startswith(board.kind)
    assert 1 <= board.cores <= 16
    assert 500 <= board.clock_mhz <= 5000
    assert 0.3 * board.ram_bytes < board.free_bytes < board.ram_bytes
    assert board.ram_bytes % 2**29 == 0
    text = (FOLDER / f"{name}.toml").read_text()
    assert text.count("https://") == (2 if board.free_basis == "published" else 1)
    if board.free_basis == "estimated":
        (source,) = [word.rstrip(".") for word in text.split() if word.endswith(".toml.")]
        assert catalogue.load(source.removesuffix(".toml")).free_basis == "published"


def test_every_board_file_is_listed() -> None:
    assert set(catalogue.names()) == {path.stem for path in FOLDER.glob("*.toml")}
    with pytest.raises(UnknownName, match="did you mean 'raspberrypi-zero2w'"):
        catalogue.load("raspberrypi-zero-2w")


@settings(deadline=None)
@given(st.integers(0, 2**34), st.integers(0, 2**34))
def test_the_margin_decides(free: int, peak: int) -> None:
    board = KnownBoard("b", "raspberrypi", "c", 4, 1000, 2**35, free, "published", ())
    found = Fit("b", board, "litert", PredictedBytes(0, 0, 0, peak, peak), frame_bytes=0)
    assert found.fits == (peak <= free)
    assert found.margin_bytes == free - peak
    assert found.to_json()["fits"] == found.fits


def test_more_pixels_and_wider_numbers_need_more() -> None:
    small, large, wide = (
        catalogue.fit(analyze("vgg16", **options).to_json(), "raspberrypi-zero2w").predicted
        for options in ({}, {"input_shape": (448, 448, 3)}, {"dtype": "fp32"})
    )
    assert small.arena < large.arena
    assert 3.9 < wide.weights / small.weights < 4.1
    for part in (small, large, wide):
        assert part.peak == part.weights + part.arena + part.graph + part.baseline
    assert small.baseline == wide.baseline > 10e6


def test_the_boards_preferred_engine_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    analysis = analyze(probe.bundle("colours").path).to_json()
    assert catalogue.fit(analysis, "raspberrypi-5-8gb").runtime == "litert"
    assert catalogue.fit(analysis, "jetson-nano").runtime == "onnxruntime"
    monkeypatch.setattr(runtimes, "missing", lambda _: "not installed")
    with pytest.raises(RuntimeUnavailable, match="ai-edge-litert"):
        catalogue.fit(analysis, "jetson-nano")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgecnn", "analyze", *map(str, arguments)],
        capture_output=True,
        text=True,
    )


def test_the_command_says_whether_it_fits() -> None:
    model = probe.bundle("colours").path / "model.tflite"
    done = run(model, "--board", "raspberrypi-zero2w", "--json")
    assert done.returncode == 0, done.stderr
    board: dict[str, Any] = json.loads(done.stdout)["board"]
    assert board["fits"]
    assert {"name", "ram_bytes", "fits", "predicted_peak_bytes"} <= set(board)

    too_big = run("vgg16", "--dtype", "fp32", "--board", "raspberrypi-zero2w")
    assert too_big.returncode == 1
    assert "does not fit Raspberry Pi Zero 2 W" in too_big.stderr
    assert "margin -" in too_big.stdout
    assert run("lenet5", "--board", "raspberrypi").returncode == 2


def test_the_frames_are_those_the_live_loop_holds() -> None:
    """Counted in a running loop."""
    seen: dict[int, int] = {}
    source = open_frames("synthetic:640x480@200")
    prepare = FramePreparer(Preprocessing(224, 224))
    with closing(source):
        dropped = 0
        while dropped < 100:
            captured = source.read()
            assert captured is not None
            dropped += captured.dropped
            prepare(captured.image)
            seen[captured.image.ctypes.data] = captured.image.nbytes
            time.sleep(0.02)  # slower than the camera: frames come while one is looked at
    assert len(seen) == BUFFERS
    prepared = prepare.buffer_bytes((480, 640, 3))
    # A 480×480 cut of the frame, halved to 240×240, scaled and swapped to 224×224.
    assert prepared == 3 * (240 * 240 + 2 * 224 * 224)
    assert frame_bytes((224, 224, 3)) == sum(seen.values()) + prepared


def test_a_board_has_to_hold_the_frames_too() -> None:
    analysis = analyze("lenet5").to_json()
    found = catalogue.fit(analysis, "raspberrypi-zero2w")
    assert found.frame_bytes == frame_bytes((32, 32, 1)) > 3 * 640 * 480 * 3
    assert found.to_json()["predicted_peak_bytes"] == found.predicted.peak + found.frame_bytes
    exact = replace(found.board, free_bytes=found.predicted.peak + found.frame_bytes)
    assert replace(found, board=exact).fits
    assert not replace(found, board=replace(exact, free_bytes=exact.free_bytes - 1)).fits
