"""Heavy material, made once per run and shared: samples, a trained network, real bundles."""

import fcntl
import importlib.util
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "alone")
if WORKER != "alone":
    # Threads that share cores with another worker's wait for each other at every layer, and some
    # turn round while they do: a core for each worker, known before any library counts them.
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(WORKER.removeprefix("gw")) % len(cores)]})

import numpy as np
import pytest
from hypothesis import settings

from edgecnn.bundle import MANIFEST, describe_file
from edgecnn.golden import FILE, Golden
from edgecnn.head import Head
from edgecnn.labels import LABELS
from edgecnn.preprocessing import Preprocessing
from edgecnn.targets.engines import runtimes

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / ".cache" / "samples"

settings.register_profile("edgecnn", deadline=None)  # machines that run tests are busy
settings.load_profile("edgecnn")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# What is measured here once must neither come from the user's cache nor go there.
os.environ["EDGECNN_CACHE"] = str(ROOT / ".cache" / "tests" / WORKER)

ONE_BY_ONE = (
    *("export/test_zoo.py", "export/test_nvidia.py", "export/test_symmetric.py"),
    "zoo/test_networks.py",
)
"""Files that share nothing between their many long tests: any worker takes the next."""

MORE_OF_THE_SAME = {
    *("densenet169", "densenet201", "resnet101", "resnet152", "senet154", "vgg19", "zfnet"),
    *("resnet34", "resnet50", "mobilenet_v3_large"),
    *("efficientnet_b1", "efficientnet_b2", "efficientnet_b3"),
    *("efficientnet_lite1", "efficientnet_lite2", "inception_v4"),
}
"""Networks of the same layers as another, mostly a smaller one of their family."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `families` leave the larger twins to the full run."""
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        if item.get_closest_marker("families") and parameters.get("name") in MORE_OF_THE_SAME:
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file's tests go to one worker, whose fixtures they share."""
    from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            scope: str = super()._split_scope(nodeid)
            return nodeid if scope.endswith(ONE_BY_ONE) else scope

    return Scheduling(config, log)


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
def wait_for() -> Callable[[Callable[[], Any], str], None]:
    """Waits until something is so."""

    def wait(condition: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, what
            time.sleep(0.01)

    return wait


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where a user of these tests works: runs/ and exports/ appear in it."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="session")
def edgecnn_cli(work: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """Runs the real command line in a process of its own; `cwd` is `work` unless given."""
    folder = tmp_path_factory.mktemp("said")
    numbers = itertools.count()
    with subprocess.Popen(
        [sys.executable, ROOT / "tests" / "preloaded.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as preloaded:
        assert preloaded.stdin is not None
        assert preloaded.stdout is not None

        def run(*arguments: str | Path, cwd: Path = work) -> subprocess.CompletedProcess[str]:
            assert preloaded.stdin is not None
            assert preloaded.stdout is not None
            number = next(numbers)
            said = {name: folder / f"{number}.{name}" for name in ("stdout", "stderr")}
            command = {"arguments": [*map(str, arguments)], "cwd": str(cwd)}
            command |= {name: str(file) for name, file in said.items()}
            preloaded.stdin.write(json.dumps(command) + "\n")
            preloaded.stdin.flush()
            code = int(preloaded.stdout.readline())
            texts = [file.read_text() for file in said.values()]
            return subprocess.CompletedProcess(command["arguments"], code, *texts)

        yield run
        preloaded.stdin.close()


@pytest.fixture(scope="session")
def types_once(tmp_path_factory: pytest.TempPathFactory, edgecnn_cli: Cli) -> Callable[..., Path]:
    """Runs commands in the folder of that name, which all other workers find filled."""
    base = tmp_path_factory.getbasetemp()
    shared = (base if WORKER == "alone" else base.parent) / "once"
    shared.mkdir(exist_ok=True)

    def types(name: str, *commands: str) -> Path:
        folder, complete = shared / name, shared / f"{name}.complete"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not complete.exists():
                folder.mkdir(exist_ok=True)
                for command in commands:
                    done = edgecnn_cli(*command.split(), cwd=folder)
                    assert done.returncode == 0, done.stderr
                complete.touch()
        return folder

    return types


@pytest.fixture(scope="session")
def lenet5_work(work: Path, types_once: Callable[..., Path]) -> Path:
    """The folder of those below: the bundle finds its run where it was, beside it."""
    made = types_once("lenet5", "train lenet5 --data digits", "export lenet5 --int8")
    return shutil.copytree(made, work, dirs_exist_ok=True)


@pytest.fixture(scope="session")
def lenet5_run(lenet5_work: Path) -> Path:
    """LeNet-5 trained on digits by the command line."""
    (run,) = (lenet5_work / "runs").glob("lenet5-*")
    return run


@pytest.fixture(scope="session")
def lenet5_bundle(lenet5_work: Path) -> Path:
    """`edgecnn export lenet5 --int8` after that training."""
    return lenet5_work / "exports" / "lenet5-int8"


@pytest.fixture(scope="session")
def lite0_bundle(work: Path, types_once: Callable[..., Path]) -> Path:
    """`edgecnn export efficientnet_lite0 --int8`, really pretrained."""
    if given := os.environ.get("EDGECNN_TESTS_LITE0"):  # just made by `make demo`
        return Path(given)
    made = types_once("lite0", "export efficientnet_lite0 --int8")
    (bundle,) = (made / "exports").iterdir()
    return shutil.copytree(bundle, work / "exports" / bundle.name)


SIDE = 16


def _write_head(folder: Path, head: Head, /, *labels: str, **replaced: Any) -> Path:
    """A bundle that gives sigmoid(8 × mean - 4) of red for one output, of R, G, B for three.

    In ONNX and OpenVINO, with golden pictures; keywords replace parts of the manifest.
    """
    import onnx
    import openvino
    from onnx import TensorProto, helper, numpy_helper

    outputs = head.outputs(len(labels))
    preprocessing = Preprocessing(SIDE, SIDE)
    weights = {
        "axes": np.array([1, 2], np.int64),
        "gain": np.eye(3, outputs, dtype=np.float32) * np.float32(8 / 255),
        "shift": np.full(outputs, -4, np.float32),
    }
    picture = helper.make_tensor_value_info("image", TensorProto.UINT8, preprocessing.shape)
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, (1, outputs))
    nodes = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["real", "axes"], ["mean"], keepdims=0),
        helper.make_node("Gemm", ["mean", "gain", "shift"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["answer"]),
    ]
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "means", [picture], [answer], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    openvino.save_model(
        openvino.convert_model(folder / "model.onnx"),
        folder / "model.xml",
        compress_to_fp16=False,
    )
    files = {"onnx": ["model.onnx"], "openvino": ["model.xml", "model.bin"]}
    engines = {"onnx": "onnxruntime", "openvino": "openvino"}
    sessions = {
        name: runtimes.get(engines[name]).open(folder / names[0], 1)
        for name, names in files.items()
    }
    frames = [np.full((32, 32, 3), level, np.uint8) for level in (60, 150)]
    Golden.make(
        frames, preprocessing, lambda name, image: sessions[name].infer(image), list(files)
    ).write(folder)
    (folder / LABELS).write_text("\n".join(labels) + "\n")
    manifest = {
        "schema": 1,
        "architecture": "means",
        "precision": "fp32",
        "weights": {"kind": "trained", "source": "a test", "sha256": "0"},
        "preprocessing": preprocessing.to_json(),
        "labels": asdict(describe_file(folder, LABELS)),
        "golden": asdict(describe_file(folder, FILE)),
        "artifacts": {
            name: {"files": [asdict(describe_file(folder, file)) for file in names]}
            for name, names in files.items()
        },
        **head.to_json(),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest | replaced))
    return folder


@pytest.fixture(scope="session")
def write_head() -> Callable[..., Path]:
    """Writes a bundle with another head than softmax; see there."""
    return _write_head
