"""Reading `.onnx`, with ONNX's own shape inference."""

import math
from pathlib import Path
from typing import Any

from edgecnn.artifacts import fusion
from edgecnn.artifacts.description import Description, Dtype, Step
from edgecnn.errors import BundleError, require

VIEWS = (
    "QuantizeLinear",
    "DequantizeLinear",
    "Cast",
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Identity",
)
IN_PLACE = ("Relu", "Clip", "LeakyRelu", "Sigmoid", "Tanh", "Elu", "HardSigmoid", "HardSwish")
ARITHMETIC = ("Add", "Mul", "Sub", "Div", "BatchNormalization")
"""In place where all but one input are constants."""
DTYPES: dict[str, Dtype] = {"INT8": "int8", "UINT8": "int8", "FLOAT16": "fp16", "FLOAT": "fp32"}


def describe(path: Path) -> Description:
    """The graph of an ONNX file; see `edgecnn.artifacts.describe`."""
    onnx: Any = require("onnx", what="Reading an .onnx file", package="onnx", extra="export")
    try:
        model = onnx.shape_inference.infer_shapes(onnx.load(str(path)))
    except Exception as error:  # protobuf's and ONNX's exceptions share no base class
        raise BundleError(f"{path} is no ONNX model: {error}") from None
    return _Reader(onnx, model.graph).describe()


class _Reader:
    def __init__(self, onnx: Any, graph: Any) -> None:
        self.onnx, self.graph = onnx, graph
        self.constants = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
        self.types = {
            value.name: value.type.tensor_type
            for value in (*graph.input, *graph.value_info, *graph.output)
        }

    def describe(self) -> Description:
        nodes = [
            self._node(value.name, "input", [], {})
            for value in self.graph.input
            if value.name not in self.constants
        ]
        for node in self.graph.node:
            name = node.output[0]
            if all(read in self.constants for read in node.input if read):
                self.constants[name] = self._shape(name)
                continue
            attributes = {a.name: self.onnx.helper.get_attribute_value(a) for a in node.attribute}
            nodes.append(self._node(name, node.op_type, list(node.input), attributes))
        stored, dtype = self._weights()
        return fusion.describe(nodes, self.graph.output[0].name, dtype, stored)

    def _node(
        self, name: str, type: str, reads: list[str], attributes: dict[str, Any]
    ) -> fusion.Node:
        shape = self._shape(name)
        fixed = [self.constants[read] for read in reads if read in self.constants]
        inputs = tuple(read for read in reads if read and read not in self.constants)
        element = self._element_bytes(name)
        size = math.prod(shape) * element
        parameters = macs = 0
        kernel = strides = None
        if type in ("Conv", "Gemm", "MatMul") and fixed:
            parameters = sum(math.prod(one) for one in fixed)
            macs = math.prod(fixed[0])
            if type == "Conv":
                macs = math.prod(shape) * math.prod(fixed[0][1:])
                kernel = (fixed[0][2], fixed[0][3])
                down, across = attributes.get("strides", (1, 1))
                strides = (int(down), int(across))
        return fusion.Node(
            name=name,
            type=type,
            inputs=inputs,
            shape=shape,
            element_bytes=element,
            step=Step(name, type, shape, size, parameters, macs, kernel, strides),
            view=type in VIEWS,
            in_place=type in IN_PLACE or (type in ARITHMETIC and len(inputs) == 1),
        )

    def _type(self, name: str) -> Any:
        if name not in self.types:
            raise BundleError(f"The shape of {name} cannot be told: give the model fixed shapes.")
        return self.types[name]

    def _shape(self, name: str) -> tuple[int, ...]:
        sizes = [axis.dim_value for axis in self._type(name).shape.dim]
        if not all(sizes):
            raise BundleError(f"{name} has no fixed shape: export the model with a fixed batch.")
        return tuple(int(size) for size in sizes)

    def _element_bytes(self, name: str) -> int:
        kind = self.onnx.helper.tensor_dtype_to_np_dtype(self._type(name).elem_type)
        return int(kind.itemsize)

    def _weights(self) -> tuple[int, Dtype]:
        """Bytes of all constants, and what most of them are stored as."""
        total: dict[Dtype | None, int] = {}
        for tensor in self.graph.initializer:
            element = self.onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
            kind = DTYPES.get(self.onnx.TensorProto.DataType.Name(tensor.data_type))
            total[kind] = total.get(kind, 0) + math.prod(tensor.dims) * int(element.itemsize)
        known: dict[Dtype, int] = {kind: size for kind, size in total.items() if kind}
        return sum(total.values()), max(known, key=lambda kind: known[kind], default="fp32")
