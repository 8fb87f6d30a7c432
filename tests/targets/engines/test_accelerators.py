"""GPUs and NPUs. None is here: what is asked of them is tested, and what is said without them."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecnn.errors import RuntimeUnavailable
from edgecnn.targets import classifier
from edgecnn.targets.board.jetson import Jetson
from edgecnn.targets.board.machine import Machine
from edgecnn.targets.board.readings.nvidia import TEGRA, Gpu
from edgecnn.targets.classifier import load
from edgecnn.targets.engines import choice, probe, runtimes
from edgecnn.targets.engines.loading import choose_runtime
from edgecnn.targets.engines.runtimes import nvidia, tensorrt
from edgecnn.targets.engines.runtimes.onnxruntime import OnnxRuntimeSession
from edgecnn.targets.engines.runtimes.openvino import settings_for

Machines = Callable[..., Machine]
MAXWELL, AMPERE = TEGRA["nvidia,tegra210"], TEGRA["nvidia,tegra234"]
INT8 = probe.bundle("colours").model_file("onnx")
MEGABYTE = 1024


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("EDGECNN_CACHE", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def float_model(tmp_path: Path) -> Path:
    """A file without quantisation; only its operators' names are looked at."""
    path = tmp_path / "float.onnx"
    path.write_bytes(b"Conv Relu Softmax")
    return path


@pytest.fixture
def gpu_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that is not there, and an ONNX Runtime that offers it: all the rest is real."""
    monkeypatch.setattr(nvidia, "gpu", lambda _: AMPERE)
    monkeypatch.setattr(nvidia, "_offered", lambda _: list(nvidia.NAMES))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("onnxruntime-tensorrt", "no NVIDIA GPU"),
        ("onnxruntime-cuda", "no NVIDIA GPU"),
        ("openvino-gpu", "no GPU here, only CPU"),
        ("openvino-npu", "no NPU here, only CPU"),
    ],
)
def test_a_device_that_is_not_here_says_so_in_a_line(name: str, said: str) -> None:
    reason = runtimes.missing(name)
    assert reason is not None
    assert said in reason
    assert "\n" not in reason
    with pytest.raises(RuntimeUnavailable, match=said):
        load(probe.bundle("colours").path, name)


def test_a_gpu_without_the_right_wheel_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia, "gpu", lambda _: AMPERE)
    reason = runtimes.missing("onnxruntime-tensorrt")
    assert reason is not None
    assert "built without TensorRT" in reason
    assert "onnxruntime-gpu" in reason


@pytest.mark.parametrize(
    ("gpu", "quantised", "int8"),
    [(AMPERE, True, "True"), (AMPERE, False, "False"), (MAXWELL, False, "False")],
)
def test_tensorrt_options(float_model: Path, gpu: Gpu, quantised: bool, int8: str) -> None:
    engine = tensorrt.Engine.of(INT8 if quantised else float_model, gpu, "TensorRT 8.5.2")
    options = engine.options()
    assert options["trt_int8_enable"] == int8
    assert options["trt_fp16_enable"] == "True"
    assert options["trt_engine_cache_enable"] == "True"
    assert options["trt_engine_cache_path"] == str(engine.folder)
    # A table of ranges and explicit QDQ exclude each other.
    assert not [name for name in options if "calibration" in name]
    assert all(isinstance(value, str) for value in options.values())


def test_engines_are_kept_apart(float_model: Path, cache: Path) -> None:
    engine = tensorrt.Engine.of(INT8, AMPERE, "TensorRT 8.5.2")
    assert engine.folder.is_relative_to(cache)
    assert engine.folder.name.endswith("-TensorRT-8.5.2-GA10B-Ampere")
    others = {
        tensorrt.Engine.of(float_model, AMPERE, "TensorRT 8.5.2").folder,
        tensorrt.Engine.of(INT8, TEGRA["nvidia,tegra194"], "TensorRT 8.5.2").folder,
        tensorrt.Engine.of(INT8, AMPERE, "TensorRT 10.3.0").folder,
    }
    assert len(others | {engine.folder}) == 4
    assert tensorrt.Engine.of(INT8, AMPERE, "TensorRT 8.5.2").folder == engine.folder


def memory(available: int, swap: int) -> dict[str, str]:
    return {
        "proc/meminfo": f"MemAvailable: {available * MEGABYTE} kB\nSwapFree: {swap * MEGABYTE} kB\n"
    }


def test_building_needs_memory_or_swap(machine: Machines) -> None:
    engine = tensorrt.Engine.of(INT8, AMPERE, "TensorRT 8.5.2")
    engine.check(machine(memory(6000, 0)))
    engine.check(machine(memory(800, 4000)))
    short = machine(memory(800, 100))
    with pytest.raises(RuntimeUnavailable, match=r"\(an estimate\).*0\.8 GB of memory.*swapon"):
        engine.check(short)
    engine.folder.mkdir(parents=True)
    (engine.folder / "TensorrtExecutionProvider_graph_0.engine").touch()
    engine.check(short)
    (engine.folder / "TensorrtExecutionProvider_graph_0.engine").unlink()
    engine.check(machine({"proc/meminfo": ""}))


def test_a_larger_model_needs_more() -> None:
    small, large = (tensorrt.build_bytes(size, quantised=True) for size in (4_000_000, 22_000_000))
    assert small < large
    assert tensorrt.build_bytes(22_000_000, quantised=False) < large


def test_int8_on_a_gpu_without_it(machine: Machines, float_model: Path) -> None:
    rich = machine(memory(8000, 0))
    with pytest.raises(RuntimeUnavailable, match=r"Maxwell.* has no int8.*--fp16"):
        tensorrt.Engine.of(INT8, MAXWELL, "TensorRT 8.2.1").check(rich)
    tensorrt.Engine.of(float_model, MAXWELL, "TensorRT 8.2.1").check(rich)


@pytest.mark.parametrize(
    ("number", "words"),
    [(8201, "TensorRT 8.2.1"), (8502, "TensorRT 8.5.2"), (100300, "TensorRT 10.3.0")],
)
def test_tensorrt_versions(number: int, words: str) -> None:
    assert tensorrt.as_words(number) == words


@pytest.mark.usefixtures("gpu_claimed")
@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")
def test_a_fall_back_to_the_cpu_is_refused_and_said() -> None:
    """ONNX Runtime itself drops the provider that it cannot load."""
    engine = runtimes.get("onnxruntime-cuda")
    assert engine.engine().endswith("(CUDA)")
    with pytest.raises(RuntimeUnavailable, match="could not load CUDA and fell back to CPU"):
        engine.open(INT8, 1)


@pytest.mark.usefixtures("gpu_claimed")
def test_a_library_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = tmp_path / "libonnxruntime_providers_cuda.so"
    provider.touch()
    monkeypatch.setitem(nvidia.LIBRARIES, "CUDAExecutionProvider", str(provider))
    said = r"cannot load CUDA: .*libonnxruntime_providers_shared\.so.*onnxruntime-gpu\[cuda,cudnn\]"
    with pytest.raises(RuntimeUnavailable, match=said):
        runtimes.get("onnxruntime-cuda").open(INT8, 1)


@pytest.mark.usefixtures("gpu_claimed")
@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")
def test_a_robot_goes_on_with_the_next_engine(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, colour_bundle: Path
) -> None:
    monkeypatch.setattr(choice, "choose", lambda *_, **__: None)  # nothing was tried yet
    monkeypatch.setattr(classifier, "detect", lambda **_: Jetson(Machine()))
    opened = load(colour_bundle, threads=1)
    assert opened.runtime == "onnxruntime"
    assert opened.session.engine.startswith("onnxruntime ")
    assert "onnxruntime-cuda is not used: ONNX Runtime could not load CUDA" in caplog.text
    board = Jetson(Machine())
    refused = ("onnxruntime-tensorrt", "onnxruntime-cuda", "onnxruntime")
    assert choose_runtime(opened.bundle, board, refused) == "litert"


def test_the_processor_runs_all_where_nothing_else_is_asked(tmp_path: Path) -> None:
    session = OnnxRuntimeSession(INT8, 1, "onnxruntime", trace=tmp_path / "trace")
    assert session.providers == ["CPUExecutionProvider"]
    session.infer(np.zeros(session.input_shape, np.uint8))
    placed = session.placed()
    assert {provider for provider, _ in placed} == {"CPUExecutionProvider"}
    assert placed["CPUExecutionProvider", "QLinearConv"] >= 1
    assert nvidia.shown(placed) == f"CPU {placed.total()}"


TRT, ON_CUDA, ON_CPU = nvidia.NAMES


@pytest.mark.parametrize(
    ("placed", "quantised", "went"),
    [
        ({(ON_CUDA, "Conv"): 30, (ON_CPU, "Softmax"): 1}, False, "CUDA 30, CPU 1"),
        # It took the softmax alone.
        ({(TRT, "TRTKernel"): 1, (ON_CUDA, "Conv"): 30}, True, "TensorRT 1, CUDA 30"),
    ],
)
def test_scraps_on_the_gpu_are_no_gpu_run(
    placed: dict[tuple[str, str], int], quantised: bool, went: str
) -> None:
    with pytest.raises(RuntimeUnavailable, match=rf"does not take this network.*{went}.*--fp16"):
        nvidia.TENSORRT.check_placement(list(nvidia.NAMES), Counter(placed), quantised=quantised)


def test_a_network_that_is_partly_on_the_gpu_says_so(caplog: pytest.LogCaptureFixture) -> None:
    whole = Counter({(TRT, "TRTKernel"): 1, (ON_CPU, "Cast"): 1})
    nvidia.TENSORRT.check_placement(list(nvidia.NAMES), whole, quantised=False)
    assert not caplog.text
    nvidia.TENSORRT.check_placement(
        list(nvidia.NAMES), whole | Counter({(ON_CUDA, "Conv"): 2}), quantised=False
    )
    assert "TensorRT 1, CPU 1, CUDA 2 operators" in caplog.text


def test_openvino_settings() -> None:
    on_cpu = settings_for("CPU", 3, count=False)
    assert on_cpu["INFERENCE_NUM_THREADS"] == 3
    assert on_cpu["INFERENCE_PRECISION_HINT"] == "f32"
    # These are the processor's: a GPU's plugin refuses the number of threads.
    assert set(settings_for("GPU", 3, count=True)) == {"PERF_COUNT", "PERFORMANCE_HINT"}


def test_what_really_ran_stands_in_a_profile(colour_bundle: Path) -> None:
    from edgecnn.targets.profiling.profiler import profile

    found = profile(colour_bundle, runtimes=["openvino", "litert"], runs=3, seconds=0, processes=1)
    openvino, litert = found.runs
    assert openvino.executed_ops == {"int8": 2}  # a convolution and the classifier
    assert openvino.executed_wider is None
    assert litert.executed_ops is None
    assert replace(openvino, executed_ops={"fp32": 23, "int8": 2}).executed_wider == "fp32"
