"""OpenVINO on the CPU."""

from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.errors import RuntimeUnavailable
from edgecnn.targets.layer_times import RUNS, LayerTime, medians
from edgecnn.targets.memory_model import NetworkMemory
from edgecnn.targets.session import check_contract

TYPES = {"u8": "uint8", "f32": "float32"}


class OpenVino:
    """Runs `model.xml` with `model.bin`."""

    name = "openvino"
    format = "openvino"

    def engine(self) -> str:
        """`openvino 2026.4.1`; raises `RuntimeUnavailable` where it is not installed."""
        try:
            return f"openvino {metadata.version('openvino')}"
        except metadata.PackageNotFoundError:
            raise RuntimeUnavailable(
                "OpenVINO is not installed: pip install 'edgecnn[openvino]'"
            ) from None

    def open(self, model: Path, threads: int) -> "OpenVinoSession":
        """Load and compile a model file."""
        return OpenVinoSession(model, threads, self.engine())

    def time_layers(
        self, model: Path, threads: int, image: NDArray[np.uint8]
    ) -> tuple[LayerTime, ...]:
        """From the counters of each inference."""
        session = OpenVinoSession(model, threads, self.engine(), count=True)
        events = []
        for _ in range(RUNS):
            session.infer(image)
            events += session.counters()
        return medians(events)

    def weights_bytes(self, network: NetworkMemory) -> int:
        """Twice: `model.bin` is mapped and read through once, and oneDNN packs a copy."""
        return network.file_bytes + network.weights_bytes

    def scratch_bytes(self, network: NetworkMemory) -> int:  # noqa: ARG002
        """None of note: its convolution kernels walk the picture without a buffer.

        The machine code that is made for each operator counts under `graph`.
        """
        return 0


class OpenVinoSession:
    """A compiled model with one inference request."""

    def __init__(self, model: Path, threads: int, engine: str, *, count: bool = False) -> None:
        self.engine, self.threads = engine, threads
        settings = {
            "PERF_COUNT": count,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            # Without it float layers run in bfloat16 or float16 where the CPU has them, and
            # neither answers nor times can be compared.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        try:
            import openvino

            compiled = openvino.Core().compile_model(str(model), "CPU", settings)
            request = compiled.create_infer_request()
        except (ImportError, RuntimeError) as error:
            raise RuntimeUnavailable(f"{engine} cannot open {model}: {error}") from None
        self.input_shape, self.classes = check_contract(
            model, _described(compiled.inputs), _described(compiled.outputs)
        )
        self._request = request
        # Both are views of the request's own tensors, filled again and again.
        self._input = request.get_input_tensor().data
        self._output = request.get_output_tensor().data

    def counters(self) -> list[tuple[str, str, float]]:
        """Name, kind and milliseconds of what ran in the last inference."""
        return [
            (node.node_name, node.node_type, node.real_time.total_seconds() * 1e3)
            for node in self._request.get_profiling_info()
            if node.real_time
        ]

    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities `(classes,)` of one picture; see `Session`."""
        try:
            np.copyto(self._input, image)
            self._request.infer()
        except (ValueError, RuntimeError) as error:
            raise RuntimeUnavailable(f"{self.engine} failed: {error}") from None
        row: NDArray[np.float32] = self._output[0].copy()
        return row


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


RUNTIME = OpenVino()
