"""The TFLite writer: float, half, or full-integer int8, straight into the flatbuffer schema.

TFLite computes int8 on tensors whose scale it reads from the file, so what `Quantised` decided is
written as it is; the picture enters as uint8.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgecnn.arithmetic import padding_columns
from edgecnn.errors import ExportError
from edgecnn.export.formats.about import About
from edgecnn.export.formats.tflite import metadata as tflite_metadata
from edgecnn.export.formats.tflite.flatbuffer import AlignedBuilder, B, arranged, operator_code
from edgecnn.export.heads import tail
from edgecnn.export.quantised import Quantised, Scale
from edgecnn.graph import Array, Graph, Operator, Shape

T = schema.TensorType
SAME, VALID = schema.Padding.SAME, schema.Padding.VALID

SMALL = 1 << 16
"""Weights of a last layer that take no time or room worth mentioning in float."""

BINARY = {
    "add": (B.ADD, schema.AddOptionsT),
    "subtract": (B.SUB, schema.SubOptionsT),
    "multiply": (B.MUL, schema.MulOptionsT),
    "divide": (B.DIV, schema.DivOptionsT),
    "maximum": (B.MAXIMUM, schema.MaximumMinimumOptionsT),
    "minimum": (B.MINIMUM, schema.MaximumMinimumOptionsT),
    "power": (B.POW, schema.PowOptionsT),
}
COMPARISONS = {
    "greater": (B.GREATER, schema.GreaterOptionsT),
    "greater_equal": (B.GREATER_EQUAL, schema.GreaterEqualOptionsT),
    "less": (B.LESS, schema.LessOptionsT),
    "less_equal": (B.LESS_EQUAL, schema.LessEqualOptionsT),
    "equal": (B.EQUAL, schema.EqualOptionsT),
    "not_equal": (B.NOT_EQUAL, schema.NotEqualOptionsT),
}
REDUCTIONS = {
    "mean": B.MEAN,
    "sum": B.SUM,
    "max": B.REDUCE_MAX,
    "min": B.REDUCE_MIN,
    "prod": B.REDUCE_PROD,
}
FUNCTIONS: dict[str, tuple[int, Any]] = {
    "relu": (B.RELU, None),
    "relu6": (B.RELU6, None),
    "leaky_relu": (B.LEAKY_RELU, schema.LeakyReluOptionsT),
    "tanh": (B.TANH, None),
    "sigmoid": (B.LOGISTIC, None),
    "hard_swish": (B.HARD_SWISH, schema.HardSwishOptionsT),
    "elu": (B.ELU, None),
    "gelu": (B.GELU, schema.GeluOptionsT),
    "exp": (B.EXP, schema.ExpOptionsT),
    "log": (B.LOG, None),
    "sqrt": (B.SQRT, None),
    "square": (B.SQUARE, schema.SquareOptionsT),
    "abs": (B.ABS, schema.AbsOptionsT),
    "sign": (B.SIGN, schema.SignOptionsT),
    "floor": (B.FLOOR, None),
    "ceil": (B.CEIL, None),
    "round": (B.ROUND, None),
    "sin": (B.SIN, None),
    "cos": (B.COS, None),
}

FUSED = {
    None: schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}


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
        self._logits = self._small_logits()
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
            f"{name}/half", values.shape, T.FLOAT16, data=values.astype(np.float16)
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
            real = self.tensor(f"{name}/real", self.graph[name].shape, T.FLOAT32)
            self._real[name] = self.add(
                B.DEQUANTIZE, [self.held[name]], real, schema.DequantizeOptionsT()
            )
        return self._real[name]

    # operators

    def write(self, op: Operator) -> None:
        scale = self.quantised.scales.get(op.name)
        if op.op == "input":
            self.held[op.name] = self._input(op, scale)
        elif op.name == self._logits:
            self.held[op.name] = self._real[op.name] = self._float_dense(op)
        elif self.quantised.runs_in_int8(op):
            inputs = [self.held[name] for name in op.inputs]
            self.held[op.name] = self._operator(op, inputs, scale)
        else:
            result = self._operator(op, [self.real(name) for name in op.inputs], None)
            if scale:
                quantized = self.result(f"{op.name}/q", op.shape, scale)
                self._real[op.name] = result
                result = self.add(B.QUANTIZE, [result], quantized, schema.QuantizeOptionsT())
            self.held[op.name] = result

    def _small_logits(self) -> str | None:
        """The dense layer whose result is the logits, where it is small and nothing else reads it.

        8 bits are coarse for logits, on which decisions hang: the other formats give them in float,
        from integer sums. Here the same integers are written as the float weights they stand for.
        """
        end, logits = tail(self.graph)
        if logits is None or logits not in self.quantised.weights:
            return None
        op = self.graph[logits]
        readers = {reader.name for reader in self.graph.consumers()[logits]}
        small = op.op == "dense" and op.weights["kernel"].size <= SMALL
        return logits if small and readers <= end else None

    def _float_dense(self, op: Operator) -> int:
        ints = self.quantised.weights[op.name]
        step = ints.scales * np.float32(self.quantised.scales[op.inputs[0]].scale)
        kernel = self.floats(f"{op.name}/kernel", ints.real_kernel().T)
        bias = self.floats(f"{op.name}/bias", ints.bias * step)
        result = self.result(op.name, op.shape, None)
        inputs = [self.real(op.inputs[0]), kernel, bias]
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = FUSED[op.fused]
        return self.add(B.FULLY_CONNECTED, inputs, result, options)

    def _input(self, op: Operator, scale: Scale | None) -> int:
        zero_point = op.attributes["zero_point"]
        between = zero_point != int(zero_point)
        own = Scale(op.attributes["scale"], 0 if between else int(zero_point))
        picture = self.tensor(op.name, op.shape, T.UINT8, scale=own)
        self.picture = picture
        real = self.tensor(f"{op.name}/real", op.shape, T.FLOAT32)
        self.add(B.DEQUANTIZE, [picture], real, schema.DequantizeOptionsT())
        if scale:
            # To int8 by way of float, which is exact: XNNPACK does both in 0.02 ms for 224×224,
            # where LiteRT's own uint8 to int8 takes 0.14 on one thread.
            self._real[op.name] = real
            flipped = self.result(f"{op.name}/int8", op.shape, scale)
            return self.add(B.QUANTIZE, [real], flipped, schema.QuantizeOptionsT())
        if not between:
            return real
        # The file's zero points are integers: one between two of them is taken off in float.
        shift = self.floats(f"{op.name}/shift", np.array([-zero_point * own.scale]))
        shifted = self.tensor(f"{op.name}/shifted", op.shape, T.FLOAT32)
        return self.add(B.ADD, [real, shift], shifted, schema.AddOptionsT())

    def _operator(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        write = self._binary if op.op in BINARY else getattr(self, f"_{op.op}", None)
        if write is None:
            raise ExportError(f"TFLite: no way to write '{op.op}' ({op.name}).")
        result: int = write(op, inputs, scale)
        return result

    def _weights(self, op: Operator, layout: tuple[int, ...], axis: int) -> tuple[int, int]:
        """Kernel and bias tensors; `layout` permutes the Keras kernel's axes."""
        ints = self.quantised.weights.get(op.name)
        if ints is None:
            kernel = self.floats(f"{op.name}/kernel", arranged(op, op.weights["kernel"], layout))
            return kernel, self.floats(f"{op.name}/bias", op.weights["bias"])
        data = arranged(op, ints.kernel, layout)
        kernel = self.tensor(
            f"{op.name}/kernel", data.shape, T.INT8, data=data, per_channel=(ints.scales, axis)
        )
        input_scale = np.float32(self.quantised.scales[op.inputs[0]].scale)
        bias = self.tensor(
            f"{op.name}/bias",
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
            for side in padding_columns(
                before[axis + 1], kernel[axis], op.attributes["strides"][axis], dilation[axis]
            )
        )
        if not any(pads):
            return x, VALID
        if pads == same:
            return x, SAME
        return self._padded(f"{op.name}/padded", x, before, pads), VALID

    def _padded(self, name: str, x: int, shape: Shape, pads: Sequence[int]) -> int:
        top, bottom, left, right = pads
        paddings = self.integers(f"{name}/by", [(0, 0), (top, bottom), (left, right), (0, 0)])
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

    def _reduced(self, op: Operator, x: int, scale: Scale | None, kind: str) -> int:
        options = schema.ReducerOptionsT()
        options.keepDims = op.attributes.get("keepdims", True)
        over = op.attributes.get("axes", (1, 2))
        axes = self.integers(f"/axes_{'_'.join(map(str, over))}", list(over))
        result = self.result(op.name, op.shape, scale)
        return self.add(REDUCTIONS[kind], [x, axes], result, options)

    def _reduce(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        return self._reduced(op, inputs[0], scale, op.attributes["kind"])

    def _global_avg_pool(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        return self._reduced(op, inputs[0], scale, "mean")

    def _global_max_pool(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        return self._reduced(op, inputs[0], scale, "max")

    def _binary(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        code, kind = BINARY[op.op]
        options = kind()
        if hasattr(options, "fusedActivationFunction"):
            options.fusedActivationFunction = FUSED[op.fused]
        return self.add(
            code, self._operands(op, inputs), self.result(op.name, op.shape, scale), options
        )

    def _operands(self, op: Operator, inputs: list[int]) -> list[int]:
        if "operand" not in op.weights:
            return inputs
        constant = self.floats(f"{op.name}/operand", op.weights["operand"])
        return [constant, *inputs] if op.attributes.get("first") else [*inputs, constant]

    def _compare(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:  # noqa: ARG002
        code, kind = COMPARISONS[op.attributes["kind"]]
        result = self.tensor(op.name, op.shape, T.BOOL)
        return self.add(code, self._operands(op, inputs), result, kind())

    def _select(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        flowing = iter(inputs[1:])
        parts = [
            self.floats(f"{op.name}/{part}", op.weights[part])
            if part in op.weights
            else next(flowing)
            for part in ("then", "other")
        ]
        result = self.result(op.name, op.shape, scale)
        return self.add(B.SELECT_V2, [inputs[0], *parts], result, schema.SelectV2OptionsT())

    def _matmul(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        result = self.result(op.name, op.shape, scale)
        return self.add(B.BATCH_MATMUL, inputs, result, schema.BatchMatMulOptionsT())

    def _slice(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        bounds = [
            self.integers(f"{op.name}/{key}", op.attributes[key])
            for key in ("begin", "end", "strides")
        ]
        result = self.result(op.name, op.shape, scale)
        return self.add(B.STRIDED_SLICE, [*inputs, *bounds], result, schema.StridedSliceOptionsT())

    def _gather(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        options = schema.GatherOptionsT()
        options.axis = op.attributes["axis"]
        places = self.integers(f"{op.name}/indices", op.attributes["indices"])
        result = self.result(op.name, op.shape, scale)
        return self.add(B.GATHER, [*inputs, places], result, options)

    def _transpose(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        perm = self.integers(f"{op.name}/perm", op.attributes["perm"])
        result = self.result(op.name, op.shape, scale)
        return self.add(B.TRANSPOSE, [*inputs, perm], result, schema.TransposeOptionsT())

    def _resize(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        options = schema.ResizeBilinearOptionsT()
        options.alignCorners = op.attributes["align_corners"]
        options.halfPixelCenters = op.attributes["half_pixel"]
        size = self.integers(f"{op.name}/size", op.shape[1:3])
        result = self.result(op.name, op.shape, scale)
        return self.add(B.RESIZE_BILINEAR, [*inputs, size], result, options)

    def _depth_to_space(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        options = schema.DepthToSpaceOptionsT()
        options.blockSize = op.attributes["size"]
        return self.add(B.DEPTH_TO_SPACE, inputs, self.result(op.name, op.shape, scale), options)

    def _space_to_depth(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        options = schema.SpaceToDepthOptionsT()
        options.blockSize = op.attributes["size"]
        return self.add(B.SPACE_TO_DEPTH, inputs, self.result(op.name, op.shape, scale), options)

    def _concat(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        options = schema.ConcatenationOptionsT()
        options.axis = op.attributes["axis"]
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
        to = self.integers(f"{name}/shape", shape)
        return self.add(B.RESHAPE, [x, to], self.result(name, shape, scale), options)

    def _depth_pool(self, op: Operator, inputs: list[int], scale: Scale | None) -> int:
        batch, height, width, channels = op.shape
        # Four dimensions are what every engine's reduction takes: rows and columns go together.
        grouped = (batch, height * width, channels, op.attributes["size"])
        x = self._reshaped(f"{op.name}/grouped", inputs[0], grouped, scale)
        axis = self.integers("/last_axis", [3])
        reduced = self.result(f"{op.name}/max", grouped[:3], scale)
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
        composed = {
            "erf": self._erf,
            "softplus": self._softplus,
            "rsqrt": self._rsqrt,
            "atan": self._atan,
        }
        if kind in composed:
            return composed[kind](op, inputs[0])
        code, options = FUNCTIONS[kind]
        options = options and options()
        if kind == "leaky_relu":
            options.alpha = op.attributes["slope"]
        return self.add(code, inputs, self.result(op.name, op.shape, scale), options)

    def _float_step(
        self, op: Operator, code: int, inputs: list[int], name: str, options: Any
    ) -> int:
        name = f"{op.name}/{name}" if name else op.name
        return self.add(code, inputs, self.result(name, op.shape, None), options and options())

    def _rsqrt(self, op: Operator, x: int) -> int:
        """1 / √x: of zero, XNNPACK's own operator makes NaN in place of infinity."""
        step = partial(self._float_step, op)
        one = self.floats(f"{op.name}/one", np.ones(1))
        root = step(B.SQRT, [x], "root", None)
        return step(B.DIV, [one, root], "", schema.DivOptionsT)

    def _atan(self, op: Operator, x: int) -> int:
        one = self.floats(f"{op.name}/one", np.ones(op.shape))
        return self._float_step(op, B.ATAN2, [x, one], "", schema.ATan2OptionsT)

    def _softplus(self, op: Operator, x: int) -> int:
        """max(x, 0) + log(1 + e^-|x|), which overflows nowhere."""
        step = partial(self._float_step, op)
        size = step(B.ABS, [x], "abs", schema.AbsOptionsT)
        small = step(
            B.EXP, [step(B.NEG, [size], "neg", schema.NegOptionsT)], "exp", schema.ExpOptionsT
        )
        one = self.floats(f"{op.name}/one", np.ones(1))
        log = step(B.LOG, [step(B.ADD, [small, one], "more", schema.AddOptionsT)], "log", None)
        return step(B.ADD, [step(B.RELU, [x], "relu", None), log], "", schema.AddOptionsT)

    def _erf(self, op: Operator, x: int) -> int:
        """Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: within 1.5e-7."""
        step = partial(self._float_step, op)
        size = step(B.ABS, [x], "abs", schema.AbsOptionsT)

        def constant(value: float) -> int:
            return self.floats(f"{op.name}/{value}", np.array([value]))

        def plus(a: int, value: float, name: str) -> int:
            return step(B.ADD, [a, constant(value)], name, schema.AddOptionsT)

        def times(a: int, b: int, name: str) -> int:
            return step(B.MUL, [a, b], name, schema.MulOptionsT)

        below = plus(times(size, constant(0.3275911), "scaled"), 1.0, "below")
        t = step(B.DIV, [constant(1.0), below], "t", schema.DivOptionsT)
        total = times(t, constant(1.061405429), "a5")
        for i, a in enumerate((-1.453152027, 1.421413741, -0.284496736, 0.254829592)):
            total = times(plus(total, a, f"sum{i}"), t, f"product{i}")
        square = times(x, x, "square")
        bell = step(
            B.EXP, [step(B.NEG, [square], "neg", schema.NegOptionsT)], "exp", schema.ExpOptionsT
        )
        rest = step(B.SUB, [constant(1.0), times(total, bell, "tail")], "rest", schema.SubOptionsT)
        return times(step(B.SIGN, [x], "sign", schema.SignOptionsT), rest, "")

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
        shifted = self.result(f"{op.name}/shifted", op.shape, six)
        self.add(B.ADD, [x, constant(f"{op.name}/three", 3.0)], shifted, plus)
        result = self.result(op.name, op.shape, scale)
        return self.add(B.MUL, [shifted, constant(f"{op.name}/sixth", 1 / 6)], result, times)

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
        if self.graph.features:
            subgraph.outputs.append(self.real(self.graph.features))
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
