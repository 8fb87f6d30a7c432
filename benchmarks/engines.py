"""A model file in its engine, without a line of edgecnn's: whoever made it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgecnn.targets.engines.runtimes.openvino import settings_for


class Opened(Protocol):
    """An engine with a model loaded."""

    def show(self, picture: NDArray[Any]) -> None:
        """Set the input, (1, H, W, C): integers as they are, floats as the model takes them."""
        ...

    def invoke(self) -> Any:
        """The engine's own call."""
        ...

    def answer(self) -> NDArray[np.float32]:
        """What the last call gave, (values,), as real numbers."""
        ...


class _LiteRt:
    def __init__(self, model: Path, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_path=str(model), num_threads=threads)
        self._interpreter.allocate_tensors()
        (self._input,) = self._interpreter.get_input_details()
        (self._output,) = self._interpreter.get_output_details()
        self.invoke: Callable[[], Any] = self._interpreter.invoke

    def show(self, picture: NDArray[Any]) -> None:
        dtype = self._input["dtype"]
        if picture.dtype == np.float32 != dtype:
            scale, zero_point = self._input["quantization"]
            limits = np.iinfo(dtype)
            steps = np.round(picture / scale) + zero_point
            picture = np.clip(steps, limits.min, limits.max).astype(dtype)
        self._interpreter.set_tensor(self._input["index"], picture)

    def answer(self) -> NDArray[np.float32]:
        found = self._interpreter.get_tensor(self._output["index"]).ravel()
        if found.dtype == np.float32:
            return np.asarray(found)
        scale, zero_point = self._output["quantization"]
        return ((found.astype(np.float32) - zero_point) * scale).astype(np.float32)


class _OnnxRuntime:
    def __init__(self, model: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        self._session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
        self._name = self._session.get_inputs()[0].name
        self._feed: dict[str, NDArray[Any]] = {}
        self._found: list[Any] = []

    def show(self, picture: NDArray[Any]) -> None:
        self._feed = {self._name: picture}

    def invoke(self) -> None:
        self._found = self._session.run(None, self._feed)

    def answer(self) -> NDArray[np.float32]:
        return np.asarray(self._found[0].ravel(), np.float32)


class _OpenVino:
    def __init__(self, model: Path, threads: int) -> None:
        import openvino

        # Told what edgecnn tells it: float32 where nothing is quantised.
        settings = settings_for("CPU", threads, False)
        compiled = openvino.Core().compile_model(str(model), "CPU", settings)
        self._request = compiled.create_infer_request()
        self.invoke: Callable[[], Any] = self._request.infer

    def show(self, picture: NDArray[Any]) -> None:
        self._request.get_input_tensor().data[...] = picture

    def answer(self) -> NDArray[np.float32]:
        return np.array(self._request.get_output_tensor().data.ravel(), np.float32)


ENGINES: dict[str, Callable[[Path, int], Opened]] = {
    "litert": _LiteRt,
    "onnxruntime": _OnnxRuntime,
    "openvino": _OpenVino,
}
"""By the names of edgecnn's runtimes."""
