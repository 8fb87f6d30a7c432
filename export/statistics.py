"""What calibration pictures say of every tensor.

The folded float graph runs once per picture in ONNX Runtime with every tensor as a result;
only running figures are kept, so the memory does not grow with the number of pictures.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.errors import require
from edgecnn.export.formats.onnx.writer import INPUT, to_onnx
from edgecnn.export.heads import tail
from edgecnn.export.quantised import Quantised
from edgecnn.file_array import Images
from edgecnn.graph import Array, Graph, Operator
from edgecnn.operators import WEIGHTED, kind_of
from edgecnn.parallel import in_order


@dataclass(frozen=True)
class Range:
    """Smallest and largest value of a tensor."""

    low: float
    high: float

    @property
    def width(self) -> float:
        """From end to end, with zero in between, as quantised ranges have it."""
        return max(self.high, 0.0) - min(self.low, 0.0)

    def union(self, other: "Range") -> "Range":
        """The range that covers both."""
        return Range(min(self.low, other.low), max(self.high, other.high))

    def widened(self, factor: float) -> "Range":
        """The range with both ends that much farther from zero."""
        return Range(self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Statistics:
    """Figures by tensor name, over all calibration pictures."""

    extremes: dict[str, Array]
    """Smallest and largest value in each picture, (count, 2)."""
    means: dict[str, Array]
    """The mean picture of every tensor that a convolution or dense layer reads: float32, NHWC."""

    @property
    def ranges(self) -> dict[str, Range]:
        """What was seen in all pictures."""
        return self.ranges_of(slice(None))

    def ranges_of(self, pictures: slice) -> dict[str, Range]:
        """What was seen in some of them; what is no number in a picture does not count."""
        return {
            name: Range(
                float(np.fmin.reduce(each[pictures, 0])), float(np.fmax.reduce(each[pictures, 1]))
            )
            for name, each in self.extremes.items()
        }


class GraphRun:
    """A folded graph, run by ONNX Runtime with any of its tensors as results.

    In float32, or as `quantised` computes it.
    """

    def __init__(
        self, graph: Graph, tensors: Iterable[str], quantised: Quantised | None = None
    ) -> None:
        ort = require("onnxruntime", what="Calibration", package="ONNX Runtime", extra="export")
        self.tensors = [name for name in tensors if name != graph.output]
        options = ort.SessionOptions()
        options.log_severity_level = 3
        # `over` has the other cores work on other pictures: threads that share a layer wait for
        # each other at its end, and on a busy machine for long.
        options.intra_op_num_threads = 1
        # The engine reads the weights where they are: for VGG-16, its copies would take 2 GB.
        options.add_session_config_entry("session.disable_prepacking", "1")
        self._weights: dict[str, Array] = {}
        model = to_onnx(graph, quantised, outputs=self.tensors, apart=self._weights)
        values = [ort.OrtValue.ortvalue_from_numpy(value) for value in self._weights.values()]
        options.add_external_initializers(list(self._weights), values)
        self._session = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, image: NDArray[np.uint8]) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
        """Probabilities and the tensors asked for (NCHW), for one uint8 picture (1, H, W, C)."""
        probabilities, *rest = self._session.run(None, {INPUT: image})
        return probabilities[0], dict(zip(self.tensors, rest, strict=True))

    def over(self, images: Images) -> Iterator[tuple[NDArray[Any], dict[str, NDArray[Any]]]]:
        """The same for each of many (count, H, W, C), in order; a picture on every core."""
        return in_order(lambda image: self(image[None]), images)

    def answers(self, images: Images) -> NDArray[Any]:
        """The probabilities alone, a row for each picture."""
        return np.stack([probabilities for probabilities, _ in self.over(images)])


def features(graph: Graph) -> list[Operator]:
    """The operators whose results are numbers before they are probabilities."""
    end, _ = tail(graph)
    return [op for op in graph if op.name not in end and kind_of(op).type == "real"]


def observe(
    graph: Graph,
    images: Images,
    on_picture: Callable[[], None] = lambda: None,
) -> Statistics:
    """Statistics over uint8 pictures (count, H, W, C).

    `on_picture` is called after each, for a progress bar.
    """
    names = [op.name for op in features(graph)]
    read_by_weights = {name for op in graph if op.op in WEIGHTED for name in op.inputs}
    run = GraphRun(graph, names)
    extremes = {name: np.empty((len(images), 2), np.float32) for name in names}
    sums: dict[str, Array] = {}
    for number, (_, tensors) in enumerate(run.over(images)):
        for name, value in tensors.items():
            extremes[name][number] = value.min(), value.max()
            if name in sums:
                sums[name] += value
            elif name in read_by_weights:
                sums[name] = value
        on_picture()
    return Statistics(
        extremes,
        {name: channels_last(total) / len(images) for name, total in sums.items()},
    )


def channels_last(value: Array) -> Array:
    """NCHW to NHWC; other ranks stay."""
    return value.transpose(0, 2, 3, 1) if value.ndim == 4 else value
