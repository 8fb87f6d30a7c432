"""Heavy material, made once per run and shared: samples, a trained network, real bundles."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / ".cache" / "samples"

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# What is measured here once must neither come from the user's cache nor go there.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "alone")
os.environ["EDGECNN_CACHE"] = str(ROOT / ".cache" / "tests" / WORKER)

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def samples() -> Path:
    """Real photographs, small pictures and videos; see examples/samples.py."""
    if not (SAMPLES / "complete").exists():
        spec = importlib.util.spec_from_file_location("samples", ROOT / "examples/samples.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.fetch(SAMPLES)
    return SAMPLES


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where a user of these tests works: runs/ and exports/ appear in it."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="session")
def edgecnn_cli(work: Path) -> Cli:
    """Runs the real command line in a fresh process; `cwd` is `work` unless given."""

    def run(*arguments: str | Path, cwd: Path = work) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "edgecnn", *map(str, arguments)],
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture(scope="session")
def lenet5_run(work: Path, edgecnn_cli: Cli) -> Path:
    """LeNet-5 trained on digits by the command line."""
    done = edgecnn_cli("train", "lenet5", "--data", "digits")
    assert done.returncode == 0, done.stderr
    (run,) = (work / "runs").glob("lenet5-*")
    return run


@pytest.fixture(scope="session")
def lenet5_bundle(work: Path, lenet5_run: Path, edgecnn_cli: Cli) -> Path:
    """`edgecnn export lenet5 --int8` after that training."""
    done = edgecnn_cli("export", "lenet5", "--int8")
    assert done.returncode == 0, done.stderr
    return work / "exports" / "lenet5-int8"


@pytest.fixture(scope="session")
def lite0_bundle(work: Path, edgecnn_cli: Cli) -> Path:
    """`edgecnn export efficientnet_lite0 --int8`, really pretrained."""
    done = edgecnn_cli("export", "efficientnet_lite0", "--int8")
    assert done.returncode == 0, done.stderr
    return work / "exports" / "efficientnet_lite0-int8"
