"""What the generated TFLite schema leaves to its user."""

from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from edgecnn.graph import Array, Operator

B = schema.BuiltinOperator

VERSION = {
    B.ADD: 2,
    B.AVERAGE_POOL_2D: 2,
    B.CONCATENATION: 2,
    B.CONV_2D: 3,
    B.DEPTHWISE_CONV_2D: 3,
    B.DEPTH_TO_SPACE: 2,
    B.DEQUANTIZE: 2,
    B.FULLY_CONNECTED: 4,
    B.GATHER: 2,
    B.LEAKY_RELU: 2,
    B.LOGISTIC: 2,
    B.MAXIMUM: 2,
    B.MAX_POOL_2D: 2,
    B.MEAN: 2,
    B.MINIMUM: 2,
    B.MUL: 2,
    B.PAD: 2,
    B.REDUCE_MAX: 2,
    B.RELU: 2,
    B.RELU6: 2,
    B.RESIZE_BILINEAR: 3,
    B.SPACE_TO_DEPTH: 2,
    B.STRIDED_SLICE: 2,
    B.SUB: 2,
    B.TANH: 2,
    B.TRANSPOSE: 2,
}
"""The first version of each operator that takes int8 (per channel where it has weights); else 1."""


class AlignedBuilder(flatbuffers.Builder):  # type: ignore[misc]
    """Aligns every vector to 16 bytes, as the schema demands of weights.

    The generated Python code drops the schema's `force_align`; engines map the file and read
    weights in place.
    """

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802, N803
        """As the base class, with the larger alignment."""
        return super().StartVector(elemSize, numElems, max(alignment, 16))


def operator_code(code: int) -> Any:
    """An entry of the model's operator table."""
    entry = schema.OperatorCodeT()
    entry.builtinCode, entry.deprecatedBuiltinCode = code, min(code, 127)
    entry.version = VERSION.get(code, 1)
    return entry


def arranged(op: Operator, kernel: Array, layout: tuple[int, ...]) -> Array:
    """A Keras kernel in TFLite's layout; `layout` permutes its axes."""
    if op.op == "depthwise":
        return kernel.reshape(1, *kernel.shape[:2], -1)
    return kernel.transpose(layout)
