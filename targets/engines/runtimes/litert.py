"""LiteRT (TensorFlow Lite), with XNNPACK.

`ai_edge_litert` where it is installed, else `tflite_runtime`, which is what a 32-bit board has.
"""

import importlib
import logging
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecnn import installed
from edgecnn.errors import RuntimeUnavailable
from edgecnn.quiet import quiet_native_stderr
from edgecnn.targets.engines.session import check_contract

if TYPE_CHECKING:  # what only profiles ask for is imported then
    from edgecnn.targets.engines.layer_times import LayerTime
    from edgecnn.targets.engines.memory_model import NetworkMemory

log = logging.getLogger(__name__)
POINTER_BYTES = struct.calcsize("P")
ENGINES = {"ai-edge-litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime"}


class LiteRt:
    """Runs `model.tflite`."""

    name = "litert"
    format = "tflite"

    def engine(self) -> str:
        """`ai-edge-litert 2.3.0`; raises `RuntimeUnavailable` where neither package is usable."""
        for distribution in ENGINES:
            try:
                found = installed.version(distribution)
            except ModuleNotFoundError:
                continue
            if distribution == "tflite-runtime":
                _check_numpy()
            return f"{distribution} {found}"
        raise RuntimeUnavailable(
            "LiteRT is not installed: pip install ai-edge-litert (32-bit boards with Python 3.11: "
            "pip install 'edgecnn[tflite-runtime]')"
        )

    def open(self, model: Path, threads: int) -> "LiteRtSession":
        """Load a model file and allocate its tensors."""
        engine = self.engine()
        if engine.startswith("tflite-runtime"):
            log.warning(
                "edgecnn: using %s, about seven times slower at int8 than ai-edge-litert, which is "
                "not installed: pip install ai-edge-litert (64-bit systems only).",
                engine,
            )
        return LiteRtSession(model, threads, engine)

    def time_layers(
        self,
        model: Path,  # noqa: ARG002
        threads: int,  # noqa: ARG002
        image: NDArray[np.uint8],  # noqa: ARG002
    ) -> "tuple[LayerTime, ...]":
        """None: the profiler of the C++ library is not reachable from Python."""
        raise RuntimeUnavailable(
            "LiteRT shows no time per operator in Python: take --runtime onnxruntime or openvino."
        )

    def executed(self, model: Path) -> None:
        """Not told: it takes each operator as the file has it."""

    def weights_bytes(self, network: "NetworkMemory") -> int:
        """Twice: the file is mapped and read through once, and XNNPACK packs a copy of its own.

        The mapped pages are clean, so the kernel may take them back when memory is short; as
        long as it is not, they count as resident.
        """
        return network.file_bytes + network.weights_bytes

    def scratch_bytes(self, network: "NetworkMemory") -> int:
        """XNNPACK's indirection buffers: a pointer for each kernel position of each output pixel.

        A depthwise kernel shares the columns in which neighbouring pixels overlap. 1×1 kernels
        need none.
        """
        total = 0
        for layer in network.layers:
            rows, columns = layer.get("kernel") or (1, 1)
            if rows * columns == 1 or len(layer["output_shape"]) != 3:
                continue
            height, width, _ = layer["output_shape"]
            if layer["type"].startswith("depthwise"):
                columns = min(columns, layer["strides"][1])
            total += POINTER_BYTES * rows * columns * height * width
        return total


class LiteRtSession:
    """An interpreter with its tensors allocated."""

    def __init__(self, model: Path, threads: int, engine: str) -> None:
        self.engine, self.threads = engine, threads
        package = ENGINES[engine.split()[0]]
        try:
            module = importlib.import_module(f"{package}.interpreter")
            # It announces its delegate on stderr, whatever the log level.
            with quiet_native_stderr():
                interpreter = module.Interpreter(model_path=str(model), num_threads=threads)
                interpreter.allocate_tensors()
        except (ImportError, ValueError, RuntimeError) as error:
            raise RuntimeUnavailable(f"{engine} cannot open {model}: {error}") from None
        ends = interpreter.get_input_details(), interpreter.get_output_details()
        described = map(_described, ends)
        self.input_shape, self.classes, self.features = check_contract(model, *described)
        (taken,), (given, *beside) = ends
        self._interpreter = interpreter
        self._input, self._output = taken["index"], given["index"]
        self._features = [detail["index"] for detail in beside]

    def infer(
        self, image: NDArray[np.uint8], features: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Probabilities `(classes,)` of one picture; see `Session`."""
        try:
            self._interpreter.set_tensor(self._input, image)
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise RuntimeUnavailable(f"{self.engine} failed: {error}") from None
        # get_tensor copies out of the arena, so the row is the caller's.
        row: NDArray[np.float32] = self._interpreter.get_tensor(self._output)[0]
        if features is not None:
            features[:] = self._interpreter.get_tensor(self._features[0])[0]
        return row


def _check_numpy() -> None:
    numpy = installed.version("numpy")
    if int(numpy.split(".")[0]) >= 2:
        raise RuntimeUnavailable(
            f"tflite-runtime was built for numpy 1 and crashes with the numpy {numpy} "
            "installed here: pip install 'numpy<2'"
        )


def _described(details: list[dict[str, Any]]) -> list[tuple[str, tuple[int, ...]]]:
    return [(np.dtype(d["dtype"]).name, tuple(int(n) for n in d["shape"])) for d in details]


RUNTIME = LiteRt()
