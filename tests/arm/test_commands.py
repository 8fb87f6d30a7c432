"""A board's commands, on a board's processor."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.arm
FRAMES = 5
DEMO = Path(__file__).parents[2] / "edgecnn" / "demo" / "bundle"

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def photographs(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few real photographs."""
    folder = tmp_path_factory.mktemp("photographs")
    for path in sorted((samples / "photographs").glob("*.jpg"))[:FRAMES]:
        shutil.copy(path, folder)
    return folder


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_help(raspberrypi5: Any) -> None:
    done = raspberrypi5.edgecnn("--help")
    assert done.returncode == 0, done.stderr
    assert "profile" in done.stdout


def test_targets_finds_the_processor_and_runs_its_engines(raspberrypi5: Any) -> None:
    done = raspberrypi5.edgecnn("targets", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["detected"]["target"] == "generic"  # a board's device tree would say more
    assert found["detected"]["cpu"].lower() in raspberrypi5.python.name
    available = {entry["name"]: entry["available"] for entry in found["runtimes"]}
    assert available["litert"]
    assert available["onnxruntime"]
    assert not available["openvino"]


def test_run_classifies_as_here(
    board64: Any, edgecnn_cli: Cli, lite0_bundle: Path, photographs: Path
) -> None:
    """`run` first checks itself against the bundle's golden pictures."""
    run = ("run", lite0_bundle, "--source", photographs, "--runtime", "litert", "--jsonl", "-")
    here, there = lines(edgecnn_cli(*run)), lines(board64.edgecnn(*run))
    assert len(there) == FRAMES
    for expected, frame in zip(here, there, strict=True):
        assert frame["label"] == expected["label"]
        assert frame["probability"] == pytest.approx(expected["probability"], abs=2e-6)


def test_a_profile_is_never_valid(raspberrypi5: Any) -> None:
    """Its worker processes are emulated too, and say so."""
    few = ("--runs", "1", "--seconds", "0", "--processes", "1", "--threads", "1")
    done = raspberrypi5.edgecnn("profile", DEMO, "--runtime", "litert", *few, "--json")
    assert done.returncode == 0, done.stderr
    (run,) = json.loads(done.stdout)["runs"]
    assert not run["valid"]
    assert any("emulated by qemu-aarch64" in reason for reason in run["invalid_reasons"])


def test_a_32_bit_board_classifies_with_tflite_runtime(
    board32: Any, edgecnn_cli: Cli, lite0_bundle: Path, photographs: Path
) -> None:
    run = ("run", lite0_bundle, "--source", photographs, "--runtime", "litert", "--jsonl", "-")
    here = lines(edgecnn_cli(*run))
    done = board32.edgecnn(*run)
    there = lines(done)
    assert "tflite-runtime 2.14.0" in done.stderr
    assert [frame["label"] for frame in there] == [frame["label"] for frame in here]
    for expected, frame in zip(here, there, strict=True):
        assert frame["probability"] == pytest.approx(expected["probability"], abs=0.1)


def test_numpy_2_under_tflite_runtime_is_refused_before_it_crashes(
    raspberrypi4: Any, lite0_bundle: Path, tmp_path: Path
) -> None:
    ours, wheels = raspberrypi4.environment["PYTHONPATH"].split(":")
    packages = tmp_path / "packages"
    packages.mkdir()
    for path in Path(wheels).iterdir():
        if not path.name.startswith("ai_edge_litert"):
            (packages / path.name).symlink_to(path)
    for path in (Path(wheels).parent / "mismatched12").iterdir():
        (packages / path.name).symlink_to(path)
    done = raspberrypi4.run(
        *("-m", "edgecnn", "run", lite0_bundle, "--source", "synthetic", "--frames", "1"),
        *("--runtime", "litert"),
        PYTHONPATH=f"{ours}:{packages}",
    )
    assert done.returncode == 2
    assert "pip install 'numpy<2'" in done.stderr
    assert "Traceback" not in done.stderr
