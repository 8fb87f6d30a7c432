"""The range of every tensor, seen on calibration pictures.

The folded float graph runs once per picture in ONNX Runtime with every tensor as a result;
only running figures are kept, so the memory does not grow with the number of pictures.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.errors import require
from edgecnn.export.onnx import INPUT, to_onnx
from edgecnn.graph import Graph


@dataclass(frozen=True)
class Range:
    """Smallest and largest value of a tensor."""

    low: float
    high: float

    def union(self, other: "Range") -> "Range":
        """The range that covers both."""
        return Range(min(self.low, other.low), max(self.high, other.high))


class FloatGraph:
    """The folded graph in float32, run by ONNX Runtime with any of its tensors as results."""

    def __init__(self, graph: Graph, tensors: Iterable[str], threads: int = 0) -> None:
        ort = require("onnxruntime", what="Calibration", package="ONNX Runtime", extra="export")
        self.tensors = [name for name in tensors if name != graph.output]
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        model = to_onnx(graph, outputs=self.tensors)
        self._session = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, image: NDArray[np.uint8]) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
        """Probabilities and the tensors asked for (NCHW), for one uint8 picture (1, H, W, C)."""
        probabilities, *rest = self._session.run(None, {INPUT: image})
        return probabilities[0], dict(zip(self.tensors, rest, strict=True))


def observe(
    graph: Graph,
    images: NDArray[np.uint8],
    on_picture: Callable[[], None] = lambda: None,
) -> dict[str, Range]:
    """Minimum and maximum of every tensor over uint8 pictures (count, H, W, C).

    `on_picture` is called after each, for a progress bar.
    """
    tensors = [op.name for op in graph if op.op not in ("input", "softmax")]
    run = FloatGraph(graph, tensors)
    low = dict.fromkeys(tensors, np.inf)
    high = dict.fromkeys(tensors, -np.inf)
    for image in images:
        for name, value in run(image[None])[1].items():
            low[name] = min(low[name], float(value.min()))
            high[name] = max(high[name], float(value.max()))
        on_picture()
    return {name: Range(low[name], high[name]) for name in tensors}
