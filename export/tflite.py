"""The TFLite writer: float, half, or full-integer int8, straight into the flatbuffer schema.

TFLite computes int8 on tensors whose scale it reads from the file, so what `Quantised` decided is
written as it is; the picture enters as uint8 and becomes int8 by flipping a bit.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgecnn.errors import ExportError
from edgecnn.export import tflite_metadata
from edgecnn.export.about import About
from edgecnn.export.flatbuffer import AlignedBuilder, B, arranged, operator_code
from edgecnn.export.quantised import Quantised, Scale
from edgecnn.graph import Array, Graph, Operator, Shape, same_pads

T = schema.TensorType
SAME, VALID = schema.Padding.SAME, schema.Padding.VALID

FUSED = {
    None: schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}


def write_tflite(
    graph: Graph,
    quantised: Quantised | None,
    folder: Path,
    *,
    half: bool = False,
    about: About | None = None,
) -> None:
    """Write `model.tflite` into a folder."""
    (folder / "model.tflite").write_bytes(to_tflite(graph, quantised, half=half, about=about))


def to_tflite(
    graph: Graph,
    quantised: Quantised | None = None,
    *,
    half: bool = False,
    about: About | None = None,
) -> bytes:
    """The model as a flatbuffer. With `half`, weights are stored as float16."""
    writer = _Writer(graph, quantised, half)
    for op in graph:
        writer.write(op)
    return writer.finish(about)


class _Writer:
    def __init__(self, graph: Graph, quantised: Quantised | None, half: bool) -> None:
        self.graph, self.half = graph, half
        self.quantised = quantised or Quantised(graph)
        self.buffers = [schema.BufferT()]  # by convention the first is empty
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self.codes: dict[int, int] = {}
        self.held: dict[str, int] = {}
        """Operator name to the tensor that holds its result: int8 where it has a scale."""
        self._real: dict[str, int] = {}
        self._constants: dict[str, int] = {}

    # tensors

    def tensor(
        self,
        name: str,
        shape: Shape,
        kind: int,
        *,
        scale: Scale | None = None,
        data: Array | None = None,
        per_channel: tuple[Array, int] | None = None,
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, list(shape), kind
        tensor.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
        if scale or per_channel:
            quantization = schema.QuantizationParametersT()
            if per_channel:
                scales, quantization.quantizedDimension = per_channel
                quantization.scale = np.asarray(scales, np.float32)
                quantization.zeroPoint = np.zeros(len(scales), np.int64)
            elif scale:
                offset = 0 if kind == T.UINT8 else 128
                quantization.scale = np.array([scale.scale], np.float32)
                quantization.zeroPoint = np.array([scale.zero_point - offset], np.int64)
            tensor.quantization = quantization
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def result(self, name: str, shape: Shape, scale: Scale | None) -> int:
        """A new tensor for a result, int8 or float."""
        return self.tensor(name, shape, T.INT8 if scale else T.FLOAT32, scale=scale)

    def integers(self, name: str, values: Sequence[Any]) -> int:
        """A constant of shapes, paddings or axes."""
        data = np.asarray(values, np.int32)
        if name not in self._constants:
            self._constants[name] = self.tensor(name, data.shape, T.INT32, data=data)
        return self._constants[name]

    def floats(self, name: str, values: Array) -> int:
        """A constant of weights, stored as float16 behind a DEQUANTIZE where asked."""
        if not self.half:
            return self.tensor(name, values.shape, T.FLOAT32, data=values.astype(np.float32))
        stored = self.tensor(
            f"{name}_half", values.shape, T.FLOAT16, data=values.astype(np.float16)
        )
        real = self.tensor(name, values.shape, T.FLOAT32)
        return self.add(B.DEQUANTIZE, [stored], real, schema.DequantizeOptionsT())

    def add(self, code: int, inputs: Sequence[int], output: int, options: Any) -> int:
        operator = schema.OperatorT()
        operator.opcodeIndex = self.codes.setdefault(code, len(self.codes))
        operator.inputs, operator.outputs = list(inputs), [output]
        if options is not None:
            operator.builtinOptions = options
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        self.operators.append(operator)
        return output

    def real(self, name: str) -> int:
        """The float value of an operator's result."""
        if name not in self.quantised.scales:
            return self.held[name]
        if name not in self._real:
            real = self.tensor(f"{name}_real", self.graph[name].shape, T.FLOAT32)
            self._real[name] = self.add(
                B.DEQUANTIZE, [self.held[name]], real, schema.DequantizeOptionsT()
            )
        return self._real[name]

    # operators

    def write(self, op: Operator) -> None:
        scale = self.quantised.scales.get(op.name)
        if op.op == "input":
            self.held[op.name] = self._input(op, scale)
        elif self.quantised.runs_in_int8(op):
            inputs = [self.held[name] for name in op.inputs]
            self.held[op.name] = self._operator(op, inputs, scale)
        else:
            result = self._operator(op, [self.real(name) for name in op.inputs], None)
            if scale:
                quantized = self.result(f"{op.name}_q", op.shape, scale)
                self._real[op.name] = result
                result = self.add(B.QUANTIZE, [result], quantized, schema.QuantizeOptionsT())
            self.held[op.name] = result

    def _input(self, op: Operator, scale: Scale | None) -> int:
        own = Scale(op.attributes["scale"], op.attributes["zero_point"])
        picture = self.tensor(op.name, op.shape, T.UINT8, scale=own)
        self.picture = picture
        if scale:
            flipped = self.result(f"{op.name}_int8", op.shape, scale)
            return self.add(B.QUANTIZE, [picture], flipped, schema.QuantizeOptionsT())
        real = self.tensor(f"{op.name}_real", op.shape, T.FLOAT32)
        return self.add(B.DEQUANTIZE, [picture], real, schema.DequantizeOptionsT())

    def _operator(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        write = getattr(self, f"_{op.op}", None)
        if write is None:
            raise ExportError(f"TFLite: no way to write '{op.op}' ({op.name}).")
        result: int = write(op, inputs, scale)
        return result

    def _weights(self, op: Operator, layout: tuple[int, ...], axis: int) -> tuple[int, int]:
        """Kernel and bias tensors; `layout` permutes the Keras kernel's axes."""
        ints = self.quantised.weights.get(op.name)
        if ints is None:
            kernel = self.floats(f"{op.name}_kernel", arranged(op, op.weights["kernel"], layout))
            return kernel, self.floats(f"{op.name}_bias", op.weights["bias"])
        data = arranged(op, ints.kernel, layout)
        kernel = self.tensor(
            f"{op.name}_kernel", data.shape, T.INT8, data=data, per_channel=(ints.scales, axis)
        )
        input_scale = np.float32(self.quantised.scales[op.inputs[0]].scale)
        bias = self.tensor(
            f"{op.name}_bias",
            ints.bias.shape,
            T.INT32,
            data=ints.bias,
            per_channel=(ints.scales * input_scale, 0),
        )
        return kernel, bias

    def _window(self, op: Operator, kernel: Shape, x: int) -> tuple[int, int]:
        """The input, padded by an operator of its own where SAME and VALID do not say it."""
        before = self.graph[op.inputs[0]].shape
        pads = op.attributes["pads"]
        dilation = op.attributes.get("dilation", (1, 1))
        same = tuple(
            side
            for axis in (0, 1)
            for side in same_pads(
                before[axis + 1], kernel[axis], op.attributes["strides"][axis], dilation[axis]
            )
        )
        if not any(pads):
            return x, VALID
        if pads == same:
            return x, SAME
        return self._padded(f"{op.name}_padded", x, before, pads), VALID

    def _padded(self, name: str, x: int, shape: Shape, pads: Sequence[int]) -> int:
        top, bottom, left, right = pads
        paddings = self.integers(f"{name}_by", [(0, 0), (top, bottom), (left, right), (0, 0)])
        larger = (shape[0], shape[1] + top + bottom, shape[2] + left + right, shape[3])
        source = self.tensors[x]
        padded = self.tensor(name, larger, source.type)
        self.tensors[padded].quantization = source.quantization
        return self.add(B.PAD, [x, paddings], padded, schema.PadOptionsT())

    def _conv(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        options = schema.Conv2DOptionsT()
        x, options.padding = self._window(op, op.weights["kernel"].shape[:2], inputs[0])
        options.strideH, options.strideW = op.attributes["strides"]
        options.dilationHFactor, options.dilationWFactor = op.attributes["dilation"]
        options.fusedActivationFunction = FUSED[op.fused]
        kernel, bias = self._weights(op, (3, 0, 1, 2), axis=0)
        return self.add(
            B.CONV_2D, [x, kernel, bias], self.result(op.name, op.shape, scale), options
        )

    def _depthwise(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        options = schema.DepthwiseConv2DOptionsT()
        x, options.padding = self._window(op, op.weights["kernel"].shape[:2], inputs[0])
        options.strideH, options.strideW = op.attributes["strides"]
        options.dilationHFactor, options.dilationWFactor = op.attributes["dilation"]
        options.depthMultiplier = op.weights["kernel"].shape[3]
        options.fusedActivationFunction = FUSED[op.fused]
        kernel, bias = self._weights(op, (0, 1, 2, 3), axis=3)
        result = self.result(op.name, op.shape, scale)
        return self.add(B.DEPTHWISE_CONV_2D, [x, kernel, bias], result, options)

    def _dense(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = FUSED[op.fused]
        kernel, bias = self._weights(op, (1, 0), axis=0)
        result = self.result(op.name, op.shape, scale)
        return self.add(B.FULLY_CONNECTED, [*inputs, kernel, bias], result, options)

    def _pool(self, op: Operator, inputs: list[int], scale: Scale | None, code: int) -> int:
        options = schema.Pool2DOptionsT()
        options.filterHeight, options.filterWidth = op.attributes["size"]
        x, options.padding = self._window(op, op.attributes["size"], inputs[0])
        options.strideH, options.strideW = op.attributes["strides"]
        return self.add(code, [x], self.result(op.name, op.shape, scale), options)

    def _max_pool(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        return self._pool(op, inputs, scale, B.MAX_POOL_2D)

    def _avg_pool(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        return self._pool(op, inputs, scale, B.AVERAGE_POOL_2D)

    def _reduce(self, op: Operator, inputs: list[int], scale: Scale | None, code: int) -> int:
        options = schema.ReducerOptionsT()
        options.keepDims = op.attributes["keepdims"]
        axes = self.integers("spatial_axes", [1, 2])
        result = self.result(op.name, op.shape, scale)
        return self.add(code, [*inputs, axes], result, options)

    def _global_avg_pool(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        return self._reduce(op, inputs, scale, B.MEAN)

    def _global_max_pool(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        return self._reduce(op, inputs, scale, B.REDUCE_MAX)

    def _add(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        options = schema.AddOptionsT()
        options.fusedActivationFunction = FUSED[op.fused]
        return self.add(B.ADD, inputs, self.result(op.name, op.shape, scale), options)

    def _multiply(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        result = self.result(op.name, op.shape, scale)
        return self.add(B.MUL, inputs, result, schema.MulOptionsT())

    def _concat(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        options = schema.ConcatenationOptionsT()
        options.axis = len(op.shape) - 1
        return self.add(B.CONCATENATION, inputs, self.result(op.name, op.shape, scale), options)

    def _requantise(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        result = self.result(op.name, op.shape, scale)
        return self.add(B.QUANTIZE, inputs, result, schema.QuantizeOptionsT())

    def _pad(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:  # noqa: ARG002
        before = self.graph[op.inputs[0]].shape
        return self._padded(op.name, inputs[0], before, op.attributes["pads"])

    def _reshape(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        return self._reshaped(op.name, inputs[0], op.shape, scale)

    def _reshaped(self, name: str, x: int, shape: Shape, scale: Scale | None) -> int:
        options = schema.ReshapeOptionsT()
        options.newShape = list(shape)
        to = self.integers(f"{name}_shape", shape)
        return self.add(B.RESHAPE, [x, to], self.result(name, shape, scale), options)

    def _depth_pool(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        batch, height, width, channels = op.shape
        # Four dimensions are what every engine's reduction takes: rows and columns go together.
        grouped = (batch, height * width, channels, op.attributes["size"])
        x = self._reshaped(f"{op.name}_grouped", inputs[0], grouped, scale)
        axis = self.integers("last_axis", [3])
        reduced = self.result(f"{op.name}_max", grouped[:3], scale)
        self.add(B.REDUCE_MAX, [x, axis], reduced, schema.ReducerOptionsT())
        return self._reshaped(op.name, reduced, op.shape, scale)

    def _lrn(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        options = schema.LocalResponseNormalizationOptionsT()
        options.radius = op.attributes["size"] // 2
        options.bias, options.alpha = op.attributes["k"], op.attributes["alpha"]
        options.beta = op.attributes["beta"]
        result = self.result(op.name, op.shape, scale)
        return self.add(B.LOCAL_RESPONSE_NORMALIZATION, inputs, result, options)

    def _softmax(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        return self.add(B.SOFTMAX, inputs, self.result(op.name, op.shape, scale), options)

    def _activation(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        kind = op.attributes["kind"]
        if kind == "hard_sigmoid":
            return self._hard_sigmoid(op, inputs[0], scale)
        codes = {
            "relu": B.RELU,
            "relu6": B.RELU6,
            "leaky_relu": B.LEAKY_RELU,
            "tanh": B.TANH,
            "sigmoid": B.LOGISTIC,
            "hard_swish": B.HARD_SWISH,
            "elu": B.ELU,
        }
        options = None
        if kind == "leaky_relu":
            options = schema.LeakyReluOptionsT()
            options.alpha = op.attributes["slope"]
        elif kind == "hard_swish":
            options = schema.HardSwishOptionsT()
        return self.add(codes[kind], inputs, self.result(op.name, op.shape, scale), options)

    def _hard_sigmoid(self, op: Operator, x: int, scale: Scale | None) -> int:
        """relu6(x + 3) · 1/6: TFLite has no operator for it."""

        def constant(name: str, value: float) -> int:
            if scale is None:
                return self.floats(name, np.array([value], np.float32))
            data = np.array([127], np.int8)
            return self.tensor(
                name, (1,), T.INT8, data=data, scale=Scale(value / 127, zero_point=128)
            )

        plus, times = schema.AddOptionsT(), schema.MulOptionsT()
        plus.fusedActivationFunction = FUSED["relu6"]
        six = Scale(6 / 255, 0) if scale else None
        shifted = self.result(f"{op.name}_shifted", op.shape, six)
        self.add(B.ADD, [x, constant(f"{op.name}_three", 3.0)], shifted, plus)
        result = self.result(op.name, op.shape, scale)
        return self.add(B.MUL, [shifted, constant(f"{op.name}_sixth", 1 / 6)], result, times)

    def finish(self, about: About | None) -> bytes:
        subgraph = schema.SubGraphT()
        subgraph.name, subgraph.tensors, subgraph.operators = (
            self.graph.name,
            self.tensors,
            self.operators,
        )
        output = self.real(self.graph.output)
        self.tensors[output].name = "probabilities"
        subgraph.inputs, subgraph.outputs = [self.picture], [output]
        model = schema.ModelT()
        model.version, model.description = 3, "edgecnn"
        model.subgraphs, model.buffers = [subgraph], self.buffers
        model.operatorCodes = [operator_code(code) for code in self.codes]
        if about is not None:
            model.metadata = tflite_metadata.entries(about, self.buffers)
        builder = AlignedBuilder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        packed = bytes(builder.Output())
        return packed if about is None else tflite_metadata.with_labels(packed, about)
