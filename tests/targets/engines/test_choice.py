"""`--runtime auto`: tried once, looked up ever after."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgecnn
from edgecnn import cache
from edgecnn.bundle import MANIFEST, Bundle, file_sha256
from edgecnn.targets.board.target import detect
from edgecnn.targets.engines import probe, runtimes, trial
from edgecnn.targets.engines.choice import choose, keep
from edgecnn.targets.engines.trial import Tried


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("EDGECNN_CACHE", str(folder))
    return folder


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be tried."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("tried again")

    monkeypatch.setattr(trial, "start", refuse)


@pytest.fixture
def colours() -> Bundle:
    return probe.bundle("colours")


def test_the_first_start_tries_and_tells_and_a_later_one_looks_up(
    colours: Bundle, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = detect()
    found = choose(colours, board)
    assert found is not None
    (kept,) = (cache.folder() / "choices").iterdir()
    tried = [Tried(**one) for one in json.loads(kept.read_text())["tried"]]
    assert {one.runtime for one in tried} == set(runtimes.RUNTIMES)
    assert {one.threads for one in tried} == {1, board.threads}
    assert min(tried, key=lambda one: one.p90_ms) == found
    assert "looking for the fastest" in caplog.text
    assert f"{found} wins" in caplog.text
    caplog.clear()

    monkeypatch.setattr(trial, "start", None)  # it could not be called
    assert choose(colours, board) == found
    classifier = edgecnn.load(colours.path)
    assert (classifier.runtime, classifier.session.threads) == (found.runtime, found.threads)
    assert not caplog.records


def test_what_was_kept_holds_for_these_files_engines_and_threads(
    colours: Bundle, never: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = detect()
    one, many = Tried("litert", 1, 2.0), Tried("onnxruntime", board.threads, 1.0)
    keep(colours, board, [one, many], (1, board.threads))
    assert choose(colours, board) == many
    assert choose(colours, board, 1) == (many if board.threads == 1 else one)
    keep(colours, board, [Tried("onnxruntime", board.threads, 3.0)])
    assert choose(colours, board) == one
    with pytest.raises(AssertionError, match="tried again"):
        choose(colours, board, 7)
    with pytest.raises(AssertionError, match="tried again"):
        choose(probe.bundle("deep"), board)
    engine = type(runtimes.get("litert"))
    monkeypatch.setattr(engine, "engine", lambda self: "ai-edge-litert 99.0.0")
    with pytest.raises(AssertionError, match="tried again"):
        choose(colours, board)


def test_a_profile_of_all_cores_does_not_hide_that_one_is_faster(colours: Bundle) -> None:
    board = detect()
    keep(colours, board, [Tried("litert", board.threads + 1, 0.001)])
    found = choose(colours, board, board.threads + 1)
    assert found is not None
    (kept,) = (cache.folder() / "choices").iterdir()
    tried = [Tried(**one) for one in json.loads(kept.read_text())["tried"]]
    assert {one.runtime for one in tried} == set(runtimes.RUNTIMES)
    assert choose(colours, board) is not None
    known = json.loads(kept.read_text())
    assert set(known["counts"]) == {1, board.threads, board.threads + 1}


def test_an_engine_that_hangs_is_left_out(
    colours: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "hanging.py").write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(trial, "WORKER", "hanging")
    monkeypatch.setattr(trial, "LIMIT_S", 0.5)
    assert choose(colours, detect(), 1) is None
    assert "did not come to an end" in caplog.text


def test_one_engine_leaves_nothing_to_try(
    colours: Bundle, never: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        runtimes, "missing", lambda name: None if name == "litert" else "not installed"
    )
    assert choose(colours, detect()) is None
    assert edgecnn.load(colours.path).runtime == "litert"


def test_an_engine_that_answers_wrongly_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = shutil.copytree(probe.bundle("peak").path, tmp_path / "peak")
    golden = dict(np.load(folder / "golden.npz"))
    golden["answers_tflite"] = 1 - golden["answers_tflite"]
    np.savez(folder / "golden.npz", **golden)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["golden"] |= {
        "bytes": (folder / "golden.npz").stat().st_size,
        "sha256": file_sha256(folder / "golden.npz"),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest))
    found = choose(Bundle.load(folder), detect(), 1)
    assert found is not None
    assert found.runtime != "litert"
    (warning,) = [r.message for r in caplog.records if "is left out" in r.message]
    assert "litert" in warning
    assert "gives other answers here than at export" in warning


def test_a_cache_that_cannot_be_written_is_told(
    colours: Bundle, empty_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    empty_cache.write_text("a file in the way")
    assert choose(colours, detect(), 1) is not None
    assert "every start will try them again" in caplog.text
    assert "EDGECNN_CACHE" in caplog.text


def test_heat_is_shared_and_the_hopeless_are_spared(
    colours: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """On a board that slows by 10% with every run."""
    caplog.set_level(logging.WARNING)
    own = {("litert", 1): 10.0, ("onnxruntime", 1): 10.5, ("openvino", 1): 100.0}
    order = []

    def run(
        _: object, __: object, runtime: str, threads: int, *, self_check: bool
    ) -> dict[str, Any]:
        order.append((runtime, threads))
        return {"p90_ms": own[runtime, threads] * (1 + 0.1 * (len(order) - 1))}

    monkeypatch.setattr(trial, "try_once", run)
    found = trial.try_out(
        colours, detect(), ("openvino", "onnxruntime", "litert"), (1,), self_check=True
    )
    names = [runtime for runtime, _ in order]
    assert names == ["openvino", "onnxruntime", "litert", "litert", "onnxruntime"]
    times = {one.runtime: one.p90_ms for one in found}
    # The second was always the earlier, and cooler, of the two the first time.
    assert times["onnxruntime"] / times["litert"] == pytest.approx(1.05)


def test_ctrl_c_ends_a_trial_and_nothing_is_kept(colours: Bundle, empty_cache: Path) -> None:
    run = [sys.executable, "-m", "edgecnn", "run", str(colours.path), "--source", "synthetic"]
    with subprocess.Popen(
        run, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        assert "looking for the fastest" in process.stderr.readline()
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        left = process.stderr.read()
    assert process.returncode == 130
    assert "Interrupted." in left
    assert "left out" not in left
    assert not list(empty_cache.glob("choices/*"))


def test_what_a_killed_program_left_of_a_choice_goes(colours: Bundle, empty_cache: Path) -> None:
    board, tried = detect(), [Tried("litert", 1, 2.0)]
    keep(colours, board, tried)
    (kept,) = empty_cache.glob("choices/*")
    left = kept.with_suffix(".4194305")  # one more than there are processes
    ours = kept.with_suffix(f".{os.getppid()}")
    for unfinished in (left, ours):
        unfinished.write_text("{")
    keep(colours, board, tried)
    assert sorted(empty_cache.glob("choices/*")) == sorted([kept, ours])
