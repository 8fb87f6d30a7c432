"""The ONNX writer: float, half, or int8 in QDQ form.

The picture enters as uint8 NHWC; behind a Transpose everything is NCHW. In QDQ form each integer
tensor is a QuantizeLinear followed by a DequantizeLinear, between which an engine sees that it may
compute in integers.

Symmetric activations are written as TensorRT takes them ("Working with Quantized Types" of its
documentation, and the operator table of onnx-tensorrt): int8 with zero points of 0, biases in
float. Nothing but a Cast touches bytes in what TensorRT takes, which is these, half and float.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgecnn.errors import ExportError
from edgecnn.export.formats.onnx.parts import (
    BINARY,
    COMPARISONS,
    FUNCTIONS,
    NCHW,
    REDUCTIONS,
    along,
    channels_first,
    laid_out,
    named_only,
    onnx_pads,
    perm_between,
)
from edgecnn.export.heads import tail
from edgecnn.export.quantised import IntWeights, Quantised, Scale
from edgecnn.graph import Array, Graph, Operator
from edgecnn.operators import WEIGHTED

OPSET = 17
IR_VERSION = 9
"""The oldest that has what is used, so that a board's older engine reads it."""

INPUT, OUTPUT = "image", "probabilities"
LARGE = 1 << 16
"""Bytes from which weights may be kept outside of the model."""


def to_onnx(
    graph: Graph,
    quantised: Quantised | None = None,
    *,
    half: bool = False,
    outputs: Sequence[str] = (),
    for_openvino: bool = False,
    apart: dict[str, Array] | None = None,
) -> onnx.ModelProto:
    """The model, with `outputs` (tensor names) as further results behind the probabilities.

    With `half` the weights and the arithmetic are float16; the probabilities stay float32.
    `for_openvino` spells two things as OpenVINO's reader needs them: see `_Writer`. Large weights
    go into `apart` where it is given, and the model only names them.
    """
    dtype = np.dtype(np.float16 if half else np.float32)
    writer = _Writer(graph, quantised, dtype, for_openvino, apart)
    for op in graph:
        writer.write(op)
    return writer.model(outputs)


class _Writer:
    """Writes operators in order.

    For OpenVINO, in int8 (seen in 2026.4):
    - the picture is scaled in float and quantised again, which its optimiser recognises as the
      identity; a bare DequantizeLinear at the input leaves the first convolution in float;
    - a mean and scale per channel on the picture are plain arithmetic, one fused kernel on
      bytes; as a depthwise convolution of three channels they would run in float;
    - a dense layer behind another is a 1×1 convolution: two int8 MatMuls in a row are joined
      into one kernel that gives wrong results on a single thread.
    """

    def __init__(
        self,
        graph: Graph,
        quantised: Quantised | None,
        dtype: np.dtype[Any],
        for_openvino: bool,
        apart: dict[str, Array] | None,
    ) -> None:
        self.graph, self.quantised, self.dtype, self.apart = graph, quantised, dtype, apart
        self.for_openvino = for_openvino and quantised is not None
        self.symmetric = quantised is not None and quantised.symmetric
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        # Both engines give a dense layer's result in float from integer sums: no rounding.
        self._end, logits = tail(graph)
        self._float_logits = {logits} if logits and graph[logits].op == "dense" else set()
        self._constants: set[str] = set()
        self._precise = False
        """Whether what is written now computes in float32 in a model of half precision."""
        self.tensor: dict[str, str] = {}
        """Operator name to the ONNX value that holds its real-valued result."""

    def constant(self, name: str, value: Array) -> str:
        if name not in self._constants:
            self._constants.add(name)
            if self.apart is None or value.nbytes < LARGE:
                self.initializers.append(numpy_helper.from_array(np.array(value, order="C"), name))
            else:
                self.apart[name] = np.ascontiguousarray(value)
                self.initializers.append(named_only(name, value))
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def real(self, name: str, values: Array) -> str:
        if self._precise:
            return self.constant(f"{name}/float", np.asarray(values, np.float32))
        return self.constant(name, np.asarray(values, self.dtype))

    def write(self, op: Operator) -> None:
        scale = self.quantised.scales.get(op.name) if self.quantised else None
        if op.op == "input":
            result = self._input(op, scale)
        else:
            inputs = [self._read(op, name) for name in op.inputs]
            # Probabilities are float32, and made in it.
            self._precise = self.dtype == np.float16 and op.name in self._end and op.op != "reshape"
            if self._precise:
                inputs = [
                    self.node("Cast", [x], f"{op.name}/{i}/float", to=TensorProto.FLOAT)
                    for i, x in enumerate(inputs)
                ]
            result = self._operator(op, inputs)
            # Where an operator computes in integers, their range can stand for the activation.
            # Around one in float an engine may drop the quantisers, and the clamp with them.
            ranged = None if op.name in self._float_logits else scale
            in_integers = self.quantised is not None and self.quantised.runs_in_int8(op)
            if kind := (ranged.left_of(op.fused) if ranged and in_integers else op.fused):
                result = self._activation(kind, op, result, f"{op.name}/{kind}")
            if ranged:
                result = self._through_integers(op.name, result, ranged)
        self.tensor[op.name] = result

    def _read(self, op: Operator, name: str) -> str:
        """The real value of a tensor, as that operator is to read it.

        ONNX Runtime quantises the float weights of a convolution behind a DequantizeLinear with
        one scale, per tensor and unasked; with a scale per channel it leaves them alone.
        """
        scale = self.quantised.scales.get(name) if self.quantised else None
        stays_float = op.op in WEIGHTED and self.quantised and op.name not in self.quantised.weights
        if not (scale and stays_float) or self.symmetric:
            return self.tensor[name]
        if f"{name}/real" not in self._constants:
            shape = self.graph[name].shape
            scales = np.full(shape[-1], scale.scale, np.float32)
            points = np.full(shape[-1], self._zero_point(scale))
            per_channel = (
                self.constant(f"{name}/scales", scales),
                self.constant(f"{name}/zero_points", points),
            )
            self._constants.add(f"{name}/real")
            integers = next(n for n in self.nodes if n.output[0] == self.tensor[name]).input[0]
            self.node("DequantizeLinear", [integers, *per_channel], f"{name}/real", axis=1)
        return f"{name}/real"

    def _input(self, op: Operator, scale: Scale | None) -> str:
        own = Scale(op.attributes["scale"], op.attributes["zero_point"])
        # A real type is a Cast and arithmetic: DequantizeLinear gives no float16 in this opset.
        to = helper.np_dtype_to_tensor_dtype(self.dtype)
        if self.quantised and not self.symmetric:
            picture = self.node("Transpose", [INPUT], f"{INPUT}/nchw", perm=[0, 3, 1, 2])
            if scale and not self.for_openvino:
                return self._dequantised(op.name, picture, scale)
            x = self.node("Cast", [picture], f"{INPUT}/real", to=to)
        else:
            # TensorRT takes bytes to be cast and for nothing else.
            real = self.node("Cast", [INPUT], f"{INPUT}/real", to=to)
            x = self.node("Transpose", [real], f"{INPUT}/nchw", perm=[0, 3, 1, 2])
        if own.zero_point:
            x = self.node(
                "Sub", [x, self.real("image/mean", np.array(own.zero_point))], "image/shifted"
            )
        if own.scale != 1:
            x = self.node("Mul", [x, self.real("image/scale", np.array(own.scale))], "image/scaled")
        return self._through_integers(op.name, x, scale) if scale and not self.symmetric else x

    def _through_integers(self, name: str, x: str, scale: Scale) -> str:
        q = self.node("QuantizeLinear", [x, *self._scale(name, scale)], f"{name}/q")
        return self._dequantised(name, q, scale)

    def _dequantised(self, name: str, q: str, scale: Scale) -> str:
        return self.node("DequantizeLinear", [q, *self._scale(name, scale)], f"{name}/dq")

    def _scale(self, name: str, scale: Scale) -> tuple[str, str]:
        return (
            self.constant(f"{name}/scale", np.array(scale.scale, np.float32)),
            self.constant(f"{name}/zero_point", np.array(self._zero_point(scale))),
        )

    def _zero_point(self, scale: Scale) -> np.int8 | np.uint8:
        return np.int8(scale.zero_point - 128) if self.symmetric else np.uint8(scale.zero_point)

    def _weights(self, op: Operator, to_layout: Any, axis: int) -> tuple[str, str]:
        """Kernel and bias as values; integers behind a DequantizeLinear each."""
        if self.quantised is None or op.name not in self.quantised.weights:
            kernel = self.real(f"{op.name}/kernel", to_layout(op.weights["kernel"]))
            return kernel, self.real(f"{op.name}/bias", op.weights["bias"])
        ints: IntWeights = self.quantised.weights[op.name]
        input_scale = np.float32(self.quantised.scales[op.inputs[0]].scale)
        bias_scales = ints.scales * input_scale
        parts = [("kernel", to_layout(ints.kernel), ints.scales, axis)]
        if not self.symmetric:
            parts.append(("bias", ints.bias, bias_scales, 0))
        values = [
            self.node(
                "DequantizeLinear",
                [
                    self.constant(f"{op.name}/{part}/q", q),
                    self.constant(f"{op.name}/{part}/scale", np.asarray(scales, np.float32)),
                    self.constant(f"{op.name}/{part}/zero", np.zeros(len(scales), q.dtype)),
                ],
                f"{op.name}/{part}",
                axis=along,
            )
            for part, q, scales, along in parts
        ]
        if self.symmetric:
            values.append(self.real(f"{op.name}/bias", ints.bias * bias_scales))
        return values[0], values[1]

    def _operator(self, op: Operator, inputs: list[str]) -> str:
        name, attributes = op.name, op.attributes
        if op.op in ("conv", "depthwise"):
            return self._convolution(op, inputs)
        if op.op == "dense":
            return self._dense(op, inputs[0])
        if op.op in ("max_pool", "avg_pool"):
            window = {
                "kernel_shape": attributes["size"],
                "strides": attributes["strides"],
                "pads": onnx_pads(attributes["pads"]),
            }
            return self.node(
                "MaxPool" if op.op == "max_pool" else "AveragePool", inputs, name, **window
            )
        if op.op in ("global_avg_pool", "global_max_pool"):
            kind = "GlobalAveragePool" if op.op == "global_avg_pool" else "GlobalMaxPool"
            if attributes["keepdims"]:
                return self.node(kind, inputs, name)
            pooled = self.node(kind, inputs, f"{name}/pooled")
            return self.node("Flatten", [self._step(op, pooled)], name)
        if op.op in BINARY:
            return self.node(BINARY[op.op], self._operands(op, inputs), name)
        if op.op == "compare":
            kind = attributes["kind"]
            if kind == "not_equal":
                return self.node(
                    "Not", [self.node("Equal", self._operands(op, inputs), f"{name}/equal")], name
                )
            return self.node(COMPARISONS[kind], self._operands(op, inputs), name)
        if op.op == "select":
            flowing = iter(inputs[1:])
            parts = [
                self.real(f"{name}/{part}", laid_out(op.weights[part]))
                if part in op.weights
                else next(flowing)
                for part in ("then", "other")
            ]
            return self.node("Where", [inputs[0], *parts], name)
        if op.op == "matmul":
            return self._matmul(op, inputs)
        if op.op == "reduce":
            return self._reduce(op, inputs[0])
        if op.op == "concat":
            axis = along(attributes["axis"], len(op.shape))
            return self.node("Concat", inputs, name, axis=axis)
        if op.op == "slice":
            return self._slice(op, inputs[0])
        if op.op == "gather":
            places = self.constant(f"{name}/indices", np.array(attributes["indices"], np.int64))
            axis = along(attributes["axis"], len(op.shape))
            return self.node("Gather", [*inputs, places], name, axis=axis)
        if op.op == "transpose":
            return self.node("Transpose", inputs, name, perm=perm_between(attributes["perm"]))
        if op.op == "resize":
            return self._resize(op, inputs[0])
        if op.op == "depth_to_space":
            return self.node("DepthToSpace", inputs, name, blocksize=attributes["size"], mode="DCR")
        if op.op == "space_to_depth":
            return self.node("SpaceToDepth", inputs, name, blocksize=attributes["size"])
        if op.op == "pad":
            top, left, bottom, right = onnx_pads(attributes["pads"])
            around = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
            return self.node("Pad", [*inputs, self.constant(f"{name}/pads", around)], name)
        if op.op == "reshape":
            return self._reshape(op, inputs[0])
        if op.op == "requantise":
            return inputs[0]
        if op.op == "lrn":
            # ONNX divides alpha by the size; the network's equation does not.
            size = attributes["size"]
            return self.node(
                "LRN",
                inputs,
                name,
                size=size,
                alpha=attributes["alpha"] * size,
                beta=attributes["beta"],
                bias=attributes["k"],
            )
        if op.op == "depth_pool":
            return self._depth_pool(op, inputs[0])
        if op.op == "activation":
            return self._activation(attributes["kind"], op, inputs[0], name)
        if op.op == "softmax":
            return self.node("Softmax", inputs, name, axis=1 if len(op.shape) == 4 else -1)
        raise ExportError(f"ONNX: no way to write '{op.op}' ({op.name}).")

    def _dense(self, op: Operator, x: str) -> str:
        if not (self.for_openvino and self._is_behind_dense(op)):
            kernel, bias = self._weights(op, lambda k: k, axis=1)
            return self.node("Gemm", [x, kernel, bias], op.name)
        before, after = self.graph[op.inputs[0]].shape, op.shape
        shape = self.constant(f"{op.name}/as_picture", np.array((*before, 1, 1), np.int64))
        scale = self.quantised.scales.get(op.inputs[0]) if self.quantised else None
        x = self.node("Reshape", [x, shape], f"{op.name}/input")
        x = self._through_integers(x, x, scale) if scale else x
        kernel, bias = self._weights(op, lambda k: k.T[:, :, None, None], axis=0)
        x = self.node("Conv", [x, kernel, bias], f"{op.name}/conv", kernel_shape=[1, 1])
        shape = self.constant(f"{op.name}/as_vector", np.array(after, np.int64))
        if op.name not in self._float_logits:
            x = self._step(op, x)
        return self.node("Reshape", [x, shape], op.name)

    def _normalises_picture(self, op: Operator) -> bool:
        """Whether this is a scale and a shift of each colour."""
        picture = self.graph.input
        on_picture = op.op == "depthwise" and op.inputs[0] == picture.name
        point = on_picture and op.weights["kernel"].shape[:2] == (1, 1)
        return point and op.shape == picture.shape  # neither strides nor more channels

    def _per_channel(self, op: Operator, x: str) -> str:
        """A 1×1 depthwise convolution, spelled as arithmetic."""
        channels = (1, -1, 1, 1)
        scale = self.real(f"{op.name}/times", op.weights["kernel"].reshape(channels))
        shift = self.real(f"{op.name}/plus", op.weights["bias"].reshape(channels))
        return self.node("Add", [self.node("Mul", [x, scale], f"{op.name}/scaled"), shift], op.name)

    def _is_behind_dense(self, op: Operator) -> bool:
        before = self.graph[op.inputs[0]]
        while before.op == "activation":
            before = self.graph[before.inputs[0]]
        return before.op == "dense"

    def _convolution(self, op: Operator, inputs: list[str]) -> str:
        attributes = op.attributes
        if self.for_openvino and self._normalises_picture(op):
            return self._per_channel(op, inputs[0])
        if op.op == "depthwise":
            # (kh, kw, in, multiplier) -> (in · multiplier, 1, kh, kw)
            def to_layout(k: Array) -> Array:
                return k.reshape(*k.shape[:2], -1).transpose(2, 0, 1)[:, None]

            groups = op.weights["kernel"].shape[2]
        else:

            def to_layout(k: Array) -> Array:
                return k.transpose(3, 2, 0, 1)

            groups = attributes["groups"]
        kernel, bias = self._weights(op, to_layout, axis=0)
        return self.node(
            "Conv",
            [*inputs, kernel, bias],
            op.name,
            kernel_shape=op.weights["kernel"].shape[:2],
            strides=attributes["strides"],
            pads=onnx_pads(attributes["pads"]),
            dilations=attributes["dilation"],
            group=groups,
        )

    def _step(self, op: Operator, x: str) -> str:
        """A result in the middle of an operator, held at its output's scale."""
        scale = self.quantised.scales.get(op.name) if self.quantised else None
        return self._through_integers(x, x, scale) if scale else x

    def _reshape(self, op: Operator, x: str) -> str:
        """Reshapes count in NHWC order: transpose where that differs from NCHW."""
        before = self.graph[op.inputs[0]].shape
        if len(before) == 4 and before[1:3] != (1, 1):
            x = self._step(op, self.node("Transpose", [x], f"{op.name}/nhwc", perm=[0, 2, 3, 1]))
        if len(op.shape) == 4 and op.shape[1:3] != (1, 1):
            shape = self.constant(f"{op.name}/shape", np.array(op.shape, np.int64))
            x = self._step(op, self.node("Reshape", [x, shape], f"{op.name}/reshaped"))
            return self.node("Transpose", [x], op.name, perm=[0, 3, 1, 2])
        shape = self.constant(f"{op.name}/shape", np.array(channels_first(op.shape), np.int64))
        return self.node("Reshape", [x, shape], op.name)

    def _depth_pool(self, op: Operator, x: str) -> str:
        batch, height, width, channels = op.shape
        size = op.attributes["size"]
        grouped = self.constant(
            f"{op.name}/groups", np.array((batch, channels, size, height * width), np.int64)
        )
        shape = self.constant(f"{op.name}/shape", np.array(channels_first(op.shape), np.int64))
        x = self._step(op, self.node("Reshape", [x, grouped], f"{op.name}/grouped"))
        x = self.node("ReduceMax", [x], f"{op.name}/max", axes=[2], keepdims=0)
        return self.node("Reshape", [self._step(op, x), shape], op.name)

    def _operands(self, op: Operator, inputs: list[str]) -> list[str]:
        if "operand" not in op.weights:
            return inputs
        constant = self.real(f"{op.name}/operand", laid_out(op.weights["operand"]))
        return [constant, *inputs] if op.attributes.get("first") else [*inputs, constant]

    def _matmul(self, op: Operator, inputs: list[str]) -> str:
        if len(op.shape) != 4:
            return self.node("MatMul", inputs, op.name)
        turned = [
            self.node("Transpose", [x], f"{op.name}/{i}/nhwc", perm=[0, 2, 3, 1])
            for i, x in enumerate(inputs)
        ]
        product = self.node("MatMul", turned, f"{op.name}/product")
        return self.node("Transpose", [product], op.name, perm=NCHW)

    def _reduce(self, op: Operator, x: str) -> str:
        kind = REDUCTIONS[op.attributes["kind"]]
        axes = sorted(along(axis, len(op.shape)) for axis in op.attributes["axes"])
        if kind == "ReduceSum":  # the only one whose axes are an input in this opset
            over = self.constant(f"{op.name}/axes", np.array(axes, np.int64))
            return self.node(kind, [x, over], op.name, keepdims=1)
        return self.node(kind, [x], op.name, axes=axes, keepdims=1)

    def _slice(self, op: Operator, x: str) -> str:
        begin, end, strides = (op.attributes[key] for key in ("begin", "end", "strides"))
        before = self.graph[op.inputs[0]].shape
        axes = [axis for axis, n in enumerate(op.shape) if n != before[axis]]
        parts = {
            "starts": [begin[axis] for axis in axes],
            "ends": [end[axis] for axis in axes],
            "axes": [along(axis, len(op.shape)) for axis in axes],
            "steps": [strides[axis] for axis in axes],
        }
        constants = [
            self.constant(f"{op.name}/{key}", np.array(value, np.int64))
            for key, value in parts.items()
        ]
        return self.node("Slice", [x, *constants], op.name)

    def _resize(self, op: Operator, x: str) -> str:
        rule = "half_pixel" if op.attributes["half_pixel"] else "asymmetric"
        rule = "align_corners" if op.attributes["align_corners"] else rule
        sizes = self.constant(f"{op.name}/sizes", np.array(channels_first(op.shape), np.int64))
        return self.node(
            "Resize",
            [x, "", "", sizes],
            op.name,
            mode="linear",
            coordinate_transformation_mode=rule,
        )

    def _activation(self, kind: str, op: Operator, x: str, name: str) -> str:
        match kind:
            case "relu6":
                low, high = (self.real(f"/relu6_{v}", np.array(v)) for v in (0, 6))
                return self.node("Clip", [x, low, high], name)
            case "hard_sigmoid":
                return self.node("HardSigmoid", [x], name, alpha=1 / 6, beta=0.5)
            case "leaky_relu":
                return self.node("LeakyRelu", [x], name, alpha=op.attributes["slope"])
            case "square":
                return self.node("Mul", [x, x], name)
            case "rsqrt":
                return self.node("Reciprocal", [self.node("Sqrt", [x], f"{name}/root")], name)
            case "gelu":
                return self._gelu(x, name)
        return self.node(FUNCTIONS[kind], [x], name)

    def _gelu(self, x: str, name: str) -> str:
        """x/2 · (1 + erf(x/√2)): this opset has no operator for it."""
        half, one, root = (
            self.real(f"/gelu_{i}", np.array(value))
            for i, value in enumerate((0.5, 1.0, np.sqrt(0.5)))
        )
        erf = self.node("Erf", [self.node("Mul", [x, root], f"{name}/inner")], f"{name}/erf")
        gate = self.node("Add", [erf, one], f"{name}/gate")
        return self.node("Mul", [self.node("Mul", [x, half], f"{name}/half"), gate], name)

    def _name_output(self) -> None:
        result = self.tensor[self.graph.output]
        if self.dtype == np.float16 and tail(self.graph)[1] is None:
            self.node("Cast", [result], OUTPUT, to=TensorProto.FLOAT)
            return
        for node in self.nodes:
            if node.output[0] == result:
                node.output[0] = node.name = OUTPUT
            for place, name in enumerate(node.input):
                if name == result:
                    node.input[place] = OUTPUT
        self.tensor[self.graph.output] = OUTPUT

    def _features(self, name: str) -> onnx.ValueInfoProto:
        """Float32, whatever the model computes in."""
        result = self.tensor[name]
        if self.dtype == np.float16:
            result = self.node("Cast", [result], f"{name}/float", to=TensorProto.FLOAT)
        return helper.make_tensor_value_info(result, TensorProto.FLOAT, self.graph[name].shape)

    def model(self, outputs: Sequence[str]) -> onnx.ModelProto:
        graph = self.graph
        self._name_output()
        float_type = helper.np_dtype_to_tensor_dtype(self.dtype)
        results = [
            helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, graph[graph.output].shape)
        ]
        results += [
            helper.make_tensor_value_info(
                # Of its own: ONNX Runtime 1.32 fuses a sum into a convolution whose result is one.
                self.node("Identity", [self.tensor[name]], f"{name}/seen"),
                float_type,
                channels_first(graph[name].shape),
            )
            for name in outputs
            if name != graph.output
        ]
        if graph.features:
            results.insert(1, self._features(graph.features))
        picture = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, graph.input.shape)
        body = helper.make_graph(self.nodes, graph.name, [picture], results, self.initializers)
        return helper.make_model(
            body,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="edgecnn",
        )
