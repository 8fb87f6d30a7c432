"""ONNX Runtime on the CPU."""

from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.errors import RuntimeUnavailable
from edgecnn.targets.session import check_contract

# One import name, several distributions: the board's vendor may build its own.
DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml")
TYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}


class OnnxRuntime:
    """Runs `model.onnx`."""

    name = "onnxruntime"
    format = "onnx"

    def engine(self) -> str:
        """`onnxruntime 1.32.0`; raises `RuntimeUnavailable` where it is not installed."""
        for distribution in DISTRIBUTIONS:
            try:
                return f"{distribution} {metadata.version(distribution)}"
            except metadata.PackageNotFoundError:
                continue
        raise RuntimeUnavailable("ONNX Runtime is not installed: pip install 'edgecnn[onnx]'")

    def open(self, model: Path, threads: int) -> "OnnxRuntimeSession":
        """Load and optimise a model file."""
        return OnnxRuntimeSession(model, threads, self.engine())


class OnnxRuntimeSession:
    """An inference session on the CPU provider."""

    def __init__(self, model: Path, threads: int, engine: str) -> None:
        self.engine, self.threads = engine, threads
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise RuntimeUnavailable(f"{engine} does not load here: {error}") from None
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors: warnings about unused initialisers are noise
        try:
            session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions share no base class of their own
            raise RuntimeUnavailable(f"{engine} cannot open {model}: {error}") from None
        ends = session.get_inputs(), session.get_outputs()
        self.input_shape, self.classes = check_contract(model, *map(_described, ends))
        (taken,), (given,) = ends
        self._session, self._input, self._output = session, taken.name, [given.name]

    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities `(classes,)` of one picture; see `Session`."""
        try:
            # The picture is read where it lies; only the result is allocated.
            row: NDArray[np.float32] = self._session.run(self._output, {self._input: image})[0][0]
        except Exception as error:  # see above
            raise RuntimeUnavailable(f"{self.engine} failed: {error}") from None
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
