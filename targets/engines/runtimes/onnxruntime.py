"""ONNX Runtime, on the CPU unless told otherwise."""

import json
import platform
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecnn import installed
from edgecnn.errors import RuntimeUnavailable
from edgecnn.targets.engines.session import check_contract

if TYPE_CHECKING:  # what only profiles ask for is imported then
    from edgecnn.targets.engines.layer_times import LayerTime
    from edgecnn.targets.engines.memory_model import NetworkMemory

# One import name, several distributions: the board's vendor may build its own.
DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml")
MMAP_THRESHOLD_BYTES = 32 * 2**20
"""glibc's `DEFAULT_MMAP_THRESHOLD_MAX` on 64-bit systems."""
CPU = ("CPUExecutionProvider",)
ERROR, FATAL = 3, 4
"""What ONNX Runtime logs at least; its warnings about unused initialisers are noise."""
TYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}


class OnnxRuntime:
    """Runs `model.onnx`."""

    name = "onnxruntime"
    format = "onnx"

    def engine(self) -> str:
        """`onnxruntime 1.32.0`; raises `RuntimeUnavailable` where it is not installed."""
        for distribution in DISTRIBUTIONS:
            try:
                return f"{distribution} {installed.version(distribution)}"
            except ModuleNotFoundError:
                continue
        way_out = "pip install 'edgecnn[onnx]'"
        if sys.maxsize < 2**32:
            way_out = "it has no wheel for 32-bit systems, take litert"
        raise RuntimeUnavailable(f"ONNX Runtime is not installed: {way_out}")

    def open(self, model: Path, threads: int) -> "OnnxRuntimeSession":
        """Load and optimise a model file."""
        return OnnxRuntimeSession(model, threads, self.engine())

    def time_layers(
        self, model: Path, threads: int, image: NDArray[np.uint8]
    ) -> "tuple[LayerTime, ...]":
        """From the trace that ONNX Runtime writes."""
        from edgecnn.targets.engines.layer_times import RUNS, medians

        with tempfile.TemporaryDirectory() as folder:
            session = OnnxRuntimeSession(
                model, threads, self.engine(), trace=Path(folder) / "trace"
            )
            for _ in range(RUNS):
                session.infer(image)
            events = json.loads(session.end_trace().read_text("utf-8"))
        return medians(
            (
                event["name"].removesuffix("_kernel_time"),
                event["args"]["op_name"],
                event["dur"] / 1e3,
            )
            for event in events
            if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")
        )

    def executed(self, model: Path) -> None:
        """Not told by the Python package."""

    def weights_bytes(self, network: "NetworkMemory") -> int:
        """Twice, but for large tensors, which are there twice only one after the other.

        Each weight is copied out of the file's protobuf and packed for the kernels, then the
        copy is freed. Copies that malloc took from the heap stay with the process; those above
        malloc's largest mmap threshold go back to the system at once. On x86, float
        convolutions are laid out anew for their vector width (NCHWc) on top of that.
        """
        large = [size for size in network.weights if size > MMAP_THRESHOLD_BYTES]
        kept_twice = network.weights_bytes - sum(large)
        while_loading = network.weights_bytes + max(network.weights, default=0)
        blocked = 0
        if network.precision != "int8" and platform.machine() in ("x86_64", "AMD64"):
            blocked = sum(
                size
                for size, layer in zip(network.weights, network.layers, strict=True)
                if layer["type"].startswith(("conv", "depthwise"))
            )
        return max(network.weights_bytes + kept_twice + blocked, while_loading)

    def scratch_bytes(self, network: "NetworkMemory") -> int:  # noqa: ARG002
        """None that is known: its arena holds activations and scratch."""
        return 0


class OnnxRuntimeSession:
    """An inference session.

    `providers` are ONNX Runtime's execution providers by preference, a name or a pair of name
    and options. `settings` are entries of its session's configuration.
    """

    def __init__(
        self,
        model: Path,
        threads: int,
        engine: str,
        *,
        trace: Path | None = None,
        providers: Sequence[str | tuple[str, dict[str, str]]] = CPU,
        settings: Mapping[str, str] | None = None,
        severity: int = ERROR,
    ) -> None:
        self.engine, self.threads = engine, threads
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise RuntimeUnavailable(f"{engine} does not load here: {error}") from None
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        if trace:
            options.enable_profiling = True
            options.profile_file_prefix = str(trace)
        options.log_severity_level = severity
        for name, value in (settings or {}).items():
            options.add_session_config_entry(name, value)
        try:
            # It would go on with other providers, after a word on stdout where the answers go.
            session = ort.InferenceSession(
                str(model), options, providers=list(providers), enable_fallback=0
            )
        except Exception as error:  # its exceptions share no base class of their own
            raise RuntimeUnavailable(f"{engine} cannot open {model}: {error}") from None
        ends = session.get_inputs(), session.get_outputs()
        described = map(_described, ends)
        self.input_shape, self.classes, self.features = check_contract(model, *described)
        (taken,), given = ends
        self._session, self._input = session, taken.name
        self._outputs = [one.name for one in given]

    @property
    def providers(self) -> list[str]:
        """The execution providers that did load, which may be fewer than asked for."""
        return list(self._session.get_providers())

    def placed(self) -> Counter[tuple[str, str]]:
        """How many operators ran, by provider and kind, from the trace asked for; ends it."""
        ran = {
            event["name"]: (event["args"]["provider"], event["args"]["op_name"])
            for event in json.loads(self.end_trace().read_text("utf-8"))
            if event.get("cat") == "Node" and "provider" in event.get("args", {})
        }
        return Counter(ran.values())

    def end_trace(self) -> Path:
        """Write the trace that was asked for at the start."""
        return Path(self._session.end_profiling())

    def infer(
        self, image: NDArray[np.uint8], features: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Probabilities `(classes,)` of one picture; see `Session`."""
        try:
            # The picture is read where it lies; only the result is allocated.
            given = self._session.run(self._outputs, {self._input: image})
        except Exception as error:  # see above
            raise RuntimeUnavailable(f"{self.engine} failed: {error}") from None
        if features is not None:
            features[:] = given[1][0]
        row: NDArray[np.float32] = given[0][0]
        return row


def _described(arguments: Any) -> list[tuple[str, tuple[int, ...]]]:
    return [
        (
            TYPES.get(a.type, a.type),
            tuple(n if isinstance(n, int) else -1 for n in a.shape),
        )
        for a in arguments
    ]


RUNTIME = OnnxRuntime()
