"""Reading `.tflite`: operators, tensors, and the scratch of LiteRT's own kernels.

Scratch and in-place rules are those of LiteRT's built-in kernels (`tflite/kernels/*.cc`), which
run where no delegate does. With XNNPACK the activations lie in a workspace of its own.
"""

import math
import struct
from pathlib import Path
from typing import Any

from edgecnn.artifacts import litert_arena
from edgecnn.artifacts.description import Description, Dtype, Step
from edgecnn.errors import BundleError, require
from edgecnn.memory import Lifetime

BYTES = {
    "FLOAT32": 4,
    "FLOAT16": 2,
    "INT32": 4,
    "UINT8": 1,
    "INT64": 8,
    "BOOL": 1,
    "INT16": 2,
    "INT8": 1,
}
DTYPES: dict[str, Dtype] = {"INT8": "int8", "UINT8": "int8", "FLOAT16": "fp16", "FLOAT32": "fp32"}
WINDOWED = {"CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions"}
WEIGHTED = (*WINDOWED, "FULLY_CONNECTED")
IN_PLACE = dict.fromkeys(("ADD", "MUL", "SUB", "DIV"), (0, 1)) | {"SOFTMAX": (0,)}
VIEWS = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
REDUCTIONS = ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD")
ACCUMULATED = ("MEAN", "SUM", "REDUCE_PROD")
INT32_BYTES = 4


def describe(path: Path) -> Description:
    """The first subgraph of a `.tflite` file; see `edgecnn.artifacts.describe`."""
    schema: Any = require(
        "ai_edge_litert.schema_py_generated",
        what="Reading a .tflite file",
        package="ai-edge-litert",
        extra="export",
    )
    data = path.read_bytes()
    if data[4:8] != b"TFL3":
        raise BundleError(f"{path} is no TFLite model.")
    try:
        return _Reader(schema, schema.Model.GetRootAs(data, 0)).describe()
    except (struct.error, IndexError, KeyError, AttributeError, TypeError, ValueError) as error:
        # What flatbuffers raises where an offset leads astray.
        raise BundleError(f"{path} is cut off or damaged: {error!r}") from error


class _Reader:
    def __init__(self, schema: Any, model: Any) -> None:
        self.schema, self.model = schema, model
        self.subgraph = model.Subgraphs(0)
        self.tensors = [self.subgraph.Tensors(i) for i in range(self.subgraph.TensorsLength())]
        self.kinds = _names(schema.TensorType)
        self.codes = _names(schema.BuiltinOperator)
        self.constants = {
            i for i, tensor in enumerate(self.tensors) if self._stored(tensor.Buffer())
        }

    def describe(self) -> Description:
        inputs = [int(i) for i in self.subgraph.InputsAsNumpy()]
        outputs = [int(i) for i in self.subgraph.OutputsAsNumpy()]
        stored = sum(self._stored(self.tensors[i].Buffer()) for i in self.constants)
        dtype = self._dtype()
        steps = [self._step(i, "input") for i in inputs]
        operators: list[litert_arena.Operator] = []
        for index in range(self.subgraph.OperatorsLength()):
            node = self.subgraph.Operators(index)
            reads = [int(i) for i in node.InputsAsNumpy() if i >= 0]
            (writes, *_) = results = tuple(int(i) for i in node.OutputsAsNumpy())
            if self.constants.issuperset(reads):
                # Half-precision weights are widened once, when the model is loaded.
                self.constants.update(results)
                continue
            step = self._step(writes, self._code(node), node, reads)
            steps.append(step)
            operators.append(self._operator(step, reads, results))
        sizes = {i: self._bytes(i) for i in range(len(self.tensors)) if i not in self.constants}
        found = litert_arena.blocks(operators, sizes, inputs, outputs)
        temporaries = max(sizes) + 1
        last = len(steps) - 1
        return Description(
            dtype=dtype,
            weights_bytes=stored,
            steps=tuple(steps),
            blocks=tuple(
                Lifetime(
                    self.tensors[block.tensor].Name().decode(),
                    block.bytes,
                    0 if block.tensor in inputs else block.first + len(inputs),
                    last if block.last is None else block.last + len(inputs),
                )
                for block in found
                if block.tensor < temporaries
            ),
            arena_bytes=litert_arena.arena_bytes(found),
        )

    def _operator(
        self, step: Step, reads: list[int], writes: tuple[int, ...]
    ) -> litert_arena.Operator:
        view = step.type in VIEWS
        return litert_arena.Operator(
            inputs=tuple(i for i in reads if i not in self.constants),
            outputs=writes,
            scratch=self._scratch(step, reads),
            in_place=(0,) if view else IN_PLACE.get(step.type, ()),
            changes=not view,
        )

    def _scratch(self, step: Step, reads: list[int]) -> tuple[int, ...]:
        if step.type == "CONV_2D" and (step.kernel, step.strides) != ((1, 1), (1, 1)):
            # im2col: each output pixel's window as a row
            _, height, width, depth = self._shape(reads[1])
            batch, rows, columns, _ = step.shape
            element = self._bytes(reads[0]) // math.prod(self._shape(reads[0]))
            return (batch * rows * columns * height * width * depth * element,)
        if step.type in REDUCTIONS:
            index = INT32_BYTES * len(self._shape(reads[0]))
            axes = INT32_BYTES * math.prod(self._shape(reads[1]))
            accumulator = INT32_BYTES * math.prod(step.shape) if step.type in ACCUMULATED else 0
            return (index, axes, accumulator)
        return ()

    def _step(
        self, tensor: int, type: str, node: Any = None, reads: list[int] | None = None
    ) -> Step:
        shape = self._shape(tensor)
        parameters = macs = 0
        kernel = strides = None
        if type in WEIGHTED and reads is not None:
            weights = self._shape(reads[1])
            parameters = sum(math.prod(self._shape(i)) for i in reads[1:])
            macs = math.prod(shape) * math.prod(weights[1:])
            if type in WINDOWED:
                kernel = (weights[1], weights[2])
                strides = self._strides(node, WINDOWED[type])
            if type == "DEPTHWISE_CONV_2D":
                macs = math.prod(shape) * weights[1] * weights[2]
        name = self.tensors[tensor].Name().decode()
        return Step(name, type, shape, self._bytes(tensor), parameters, macs, kernel, strides)

    def _strides(self, node: Any, kind: str) -> tuple[int, int]:
        options = getattr(self.schema, kind)()
        table = node.BuiltinOptions()
        options.Init(table.Bytes, table.Pos)
        return options.StrideH(), options.StrideW()

    def _code(self, node: Any) -> str:
        entry = self.model.OperatorCodes(node.OpcodeIndex())
        return self.codes[max(entry.BuiltinCode(), entry.DeprecatedBuiltinCode())]

    def _stored(self, buffer: int) -> int:
        """Bytes of a constant: in the flatbuffer, or behind it in large files."""
        found = self.model.Buffers(buffer)
        return int(found.DataLength() or found.Size())

    def _shape(self, tensor: int) -> tuple[int, ...]:
        if self.tensors[tensor].ShapeIsNone():
            return ()
        return tuple(int(n) for n in self.tensors[tensor].ShapeAsNumpy())

    def _bytes(self, tensor: int) -> int:
        kind = self.kinds[self.tensors[tensor].Type()]
        if kind not in BYTES:
            raise BundleError(f"Tensors of type {kind} cannot be analysed.")
        return math.prod(self._shape(tensor)) * BYTES[kind]

    def _dtype(self) -> Dtype:
        """What most of the weights' bytes are stored as."""
        kinds: dict[Dtype, int] = {}
        for i in self.constants:
            kind = DTYPES.get(self.kinds[self.tensors[i].Type()])
            if kind:
                kinds[kind] = kinds.get(kind, 0) + self._stored(self.tensors[i].Buffer())
        return max(kinds, key=lambda kind: kinds[kind], default="fp32")


def _names(enumeration: Any) -> dict[int, str]:
    return {v: k for k, v in vars(enumeration).items() if isinstance(v, int)}
