"""OpenVINO on the CPU, and on Intel's GPUs and NPUs."""

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecnn import installed
from edgecnn.errors import RuntimeUnavailable
from edgecnn.parallel import cores
from edgecnn.targets.engines.session import check_contract

if TYPE_CHECKING:  # what only profiles ask for is imported then
    from edgecnn.targets.engines.layer_times import LayerTime
    from edgecnn.targets.engines.memory_model import NetworkMemory

TYPES = {"u8": "uint8", "f32": "float32"}


WITH_WEIGHTS = frozenset({"Convolution", "Deconvolution", "FullyConnected", "MatMul"})
PRECISIONS = {"i8": "int8", "u8": "int8", "f16": "fp16", "bf16": "bf16", "f32": "fp32"}
NO_DEVICE = {
    "GPU": "an Intel GPU needs its driver (sudo apt install intel-opencl-icd) and your user in "
    "the group render",
    "NPU": "it takes a Core Ultra processor with Intel's linux-npu-driver",
}


class OpenVino:
    """Runs `model.xml` with `model.bin` on one of OpenVINO's devices."""

    format = "openvino"

    def __init__(self, name: str, device: str = "CPU") -> None:
        self.name, self.device = name, device

    def engine(self) -> str:
        """`openvino 2026.4.1`; raises `RuntimeUnavailable` where it is not installed.

        A device other than the processor stands behind it: `openvino 2026.4.1 (GPU)`.
        """
        try:
            engine = f"openvino {installed.version('openvino')}"
        except ModuleNotFoundError:
            way_out = "pip install 'edgecnn[openvino]'"
            if sys.maxsize < 2**32:
                way_out = "it has no wheel for 32-bit systems, take litert"
            raise RuntimeUnavailable(f"OpenVINO is not installed: {way_out}") from None
        if self.device == "CPU":
            return engine
        found = _devices(engine)
        # A second GPU makes them GPU.0 and GPU.1; the plain name stands for the first.
        if not any(name.partition(".")[0] == self.device for name in found):
            raise RuntimeUnavailable(
                f"OpenVINO finds no {self.device} here, only {', '.join(found)}: "
                f"{NO_DEVICE[self.device]}"
            )
        return f"{engine} ({self.device})"

    def open(self, model: Path, threads: int) -> "OpenVinoSession":
        """Load and compile a model file."""
        return OpenVinoSession(model, threads, self.engine(), self.device)

    def time_layers(
        self, model: Path, threads: int, image: NDArray[np.uint8]
    ) -> "tuple[LayerTime, ...]":
        """From the counters of each inference."""
        from edgecnn.targets.engines.layer_times import RUNS, medians

        session = OpenVinoSession(model, threads, self.engine(), self.device, count=True)
        events = []
        for _ in range(RUNS):
            session.infer(image)
            events += session.counters()
        return medians(events)

    def executed(self, model: Path) -> dict[str, int]:
        """From the compiled model; on ARM most convolutions of int8 networks run in float."""
        session = OpenVinoSession(model, 1, self.engine(), self.device)
        return session.executed()

    def weights_bytes(self, network: "NetworkMemory") -> int:
        """Twice: `model.bin` is mapped and read through once, and oneDNN packs a copy."""
        return network.file_bytes + network.weights_bytes

    def scratch_bytes(self, network: "NetworkMemory") -> int:  # noqa: ARG002
        """None of note: its convolution kernels walk the picture without a buffer.

        The machine code that is made for each operator counts under `graph`.
        """
        return 0


class OpenVinoSession:
    """A compiled model with one inference request."""

    def __init__(
        self, model: Path, threads: int, engine: str, device: str = "CPU", *, count: bool = False
    ) -> None:
        self.engine, self.threads = engine, threads
        try:
            import openvino

            settings = settings_for(device, threads, count)
            compiled = openvino.Core().compile_model(str(model), device, settings)
            request = compiled.create_infer_request()
        except (ImportError, RuntimeError) as error:
            raise RuntimeUnavailable(f"{engine} cannot open {model}: {error}") from None
        described = _described(compiled.inputs), _described(compiled.outputs)
        self.input_shape, self.classes, self.features = check_contract(model, *described)
        self._compiled, self._request = compiled, request
        # All are views of the request's own tensors, filled again and again.
        self._input = request.get_input_tensor().data
        self._output, *self._features = (
            request.get_output_tensor(n).data for n in range(len(compiled.outputs))
        )

    def counters(self) -> list[tuple[str, str, float]]:
        """Name, kind and milliseconds of what ran in the last inference."""
        return [
            (node.node_name, node.node_type, node.real_time.total_seconds() * 1e3)
            for node in self._request.get_profiling_info()
            if node.real_time
        ]

    def executed(self) -> dict[str, int]:
        """Operators with weights, by the type their kernel computes in.

        The kernel's name ends in it, `gemm_acl_f32`, `brgconv_avx512_1x1_I8`: an operator that
        takes int8 on ARM may have a float kernel, with conversions around it.
        """
        found: Counter[str] = Counter()
        for op in self._compiled.get_runtime_model().get_ordered_ops():
            info = op.get_rt_info()
            if info["layerType"].value in WITH_WEIGHTS:
                ending = info["primitiveType"].value.rpartition("_")[2].lower()
                precision = ending if ending in PRECISIONS else info["runtimePrecision"].value
                found[PRECISIONS.get(precision, precision)] += 1
        return dict(found)

    def infer(
        self, image: NDArray[np.uint8], features: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Probabilities `(classes,)` of one picture; see `Session`."""
        try:
            np.copyto(self._input, image)
            self._request.infer()
        except (ValueError, RuntimeError) as error:
            raise RuntimeUnavailable(f"{self.engine} failed: {error}") from None
        if features is not None:
            features[:] = self._features[0][0]
        row: NDArray[np.float32] = self._output[0].copy()
        return row


def settings_for(device: str, threads: int, count: bool) -> dict[str, Any]:
    """What a model is compiled with; `count` is for times per operator."""
    settings: dict[str, Any] = {"PERF_COUNT": count, "PERFORMANCE_HINT": "LATENCY"}
    if device == "CPU":
        # Without the hint float layers run in bfloat16 or float16 where the CPU has them, and
        # neither answers nor times can be compared. GPUs and NPUs are made for float16.
        settings |= {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
        if threads < cores():
            # Each of several sessions would hold its threads to the same cores.
            settings["ENABLE_CPU_PINNING"] = False
    return settings


def _devices(engine: str) -> list[str]:
    try:
        import openvino

        return list(openvino.Core().available_devices)
    except (ImportError, RuntimeError) as error:
        raise RuntimeUnavailable(f"{engine} does not load here: {error}") from None


def _described(ports: Any) -> list[tuple[str, tuple[int, ...]]]:
    described = []
    for port in ports:
        dtype = port.get_element_type().get_type_name()
        dimensions = port.get_partial_shape()
        described.append(
            (
                TYPES.get(dtype, dtype),
                tuple(d.get_length() if d.is_static else -1 for d in dimensions),
            )
        )
    return described


RUNTIME = OpenVino("openvino")
GPU = OpenVino("openvino-gpu", "GPU")
NPU = OpenVino("openvino-npu", "NPU")
