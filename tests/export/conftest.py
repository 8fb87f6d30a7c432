"""NVIDIA's builder for these tests."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BUILDER = Path(__file__).with_name("nvidia_builder.py")

Build = Callable[[Path], dict[str, Any]]


@pytest.fixture(scope="session")
def nvidia_build() -> Build:
    """Builds a TensorRT engine from an ONNX file; see nvidia_builder.py."""
    if importlib.util.find_spec("onnxruntime_ep_nv_tensorrt_rtx") is None:
        pytest.skip("NVIDIA's builder without a GPU is there for x86-64 only")

    def build(model: Path) -> dict[str, Any]:
        done = subprocess.run([sys.executable, BUILDER, model], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return build
