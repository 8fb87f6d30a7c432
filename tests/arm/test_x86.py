"""An x86 processor without VNNI, where sums of two 8-bit products overflow in 16 bits."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ARM = Path(__file__).parents[2] / ".cache" / "arm"

pytestmark = pytest.mark.arm

Run = Callable[[Path, str], subprocess.CompletedProcess[str]]


@pytest.fixture
def on_haswell(tmp_path: Path) -> Run:
    """`edgecnn run BUNDLE --runtime RUNTIME` on the first processor with AVX2, of 2013."""
    emulator = str(ARM / "emulators/usr/bin/qemu-x86_64")
    python = [emulator, "-cpu", "Haswell", "-0", sys.executable, os.path.realpath(sys.executable)]

    def run(bundle: Path, runtime: str) -> subprocess.CompletedProcess[str]:
        options = ["--runtime", runtime, "--source", "synthetic", "--frames", "1", "--jsonl", "-"]
        return subprocess.run(
            [*python, "-m", "edgecnn", "run", bundle, *options],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return run


@pytest.fixture(scope="module")
def seven_bits(work: Path, edgecnn_cli: Callable[..., subprocess.CompletedProcess[str]]) -> Path:
    out = work / "exports" / "seven-bits"
    options = ["--weight-bits", "7", "--no-verdict", "--out", out]
    done = edgecnn_cli("export", "efficientnet_lite0", "--int8", *options)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_eight_bit_weights_overflow_and_the_start_finds_it(
    on_haswell: Run, lite0_bundle: Path, seven_bits: Path, runtime: str
) -> None:
    refused = on_haswell(lite0_bundle, runtime)
    assert refused.returncode == 2
    assert "x86 without VNNI: export with --weight-bits 7" in refused.stderr
    sound = on_haswell(seven_bits, runtime)
    assert sound.returncode == 0, sound.stderr
    assert sound.stdout.count("\n") == 1


def test_litert_does_not_overflow(on_haswell: Run, lite0_bundle: Path) -> None:
    sound = on_haswell(lite0_bundle, "litert")
    assert sound.returncode == 0, sound.stderr
