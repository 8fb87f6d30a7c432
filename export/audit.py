"""Which operators really run in int8, read from the finished file.

TFLite says it by the type of each tensor; ONNX Runtime and OpenVINO decide when they load, so
their own optimised graph is read.
"""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edgecnn.errors import require

CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE", "QuantizeLinear", "DequantizeLinear"})


@dataclass(frozen=True)
class Precision:
    """How many operators compute in integers, and which do not."""

    int8_ops: int
    float_op_names: tuple[str, ...]

    @property
    def float_ops(self) -> int:
        """Number of operators that compute in float."""
        return len(self.float_op_names)


def audit(format: str, folder: Path) -> Precision:
    """The effective precision of the artifact of that format in a folder."""
    return {"tflite": _tflite, "onnx": _onnx, "openvino": _openvino}[format](folder)


def _tflite(folder: Path) -> Precision:
    from ai_edge_litert import schema_py_generated as schema

    data = (folder / "model.tflite").read_bytes()
    model = schema.Model.GetRootAs(data)
    graph = model.Subgraphs(0)
    names = {value: key for key, value in vars(schema.BuiltinOperator).items()}
    integers, floats = 0, []
    for i in range(graph.OperatorsLength()):
        op = graph.Operators(i)
        kind = names[model.OperatorCodes(op.OpcodeIndex()).BuiltinCode()]
        output = graph.Tensors(op.Outputs(0))
        if kind in CONVERSIONS:
            continue
        if output.Type() == schema.TensorType.INT8:
            integers += 1
        else:
            floats.append(f"{output.Name().decode()} ({kind})")
    return Precision(integers, tuple(floats))


def _onnx(folder: Path) -> Precision:
    import onnx

    ort = require("onnxruntime", what="The audit", package="ONNX Runtime", extra="export")
    with tempfile.TemporaryDirectory() as scratch:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(Path(scratch) / "optimised.onnx")
        ort.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        graph = onnx.load(options.optimized_model_filepath).graph
    constants = {tensor.name for tensor in graph.initializer}
    in_float: dict[str, bool] = {graph.input[0].name: False}
    integers, floats = 0, []
    for node in graph.node:
        reads = [name for name in node.input if name and name not in constants]
        if node.op_type in CONVERSIONS:
            runs_float = node.op_type == "DequantizeLinear"
        elif node.op_type == "Cast":  # of the picture's bytes, or between float and half
            runs_float = True
        else:
            runs_float = any(in_float[name] for name in reads)
            if runs_float:
                floats.append(f"{node.output[0]} ({node.op_type})")
            else:
                integers += 1
        # A QGemm without an output scale sums integers and gives the sums in float.
        gives_float = runs_float or (node.op_type == "QGemm" and not any(node.input[7:]))
        in_float.update(dict.fromkeys(node.output, gives_float))
    return Precision(integers, tuple(floats))


def _openvino(folder: Path) -> Precision:
    ov = require("openvino", what="The audit", package="OpenVINO", extra="export")
    compiled = ov.Core().compile_model(
        str(folder / "model.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    ignored = {"Const", "Input", "Output", "Reorder", "Reshape"}
    integers, floats = 0, []
    for op in compiled.get_runtime_model().get_ordered_ops():
        info = op.get_rt_info()
        kind = info["layerType"].value
        if kind in ignored:
            continue
        if re.fullmatch(r"[ui]8", info["runtimePrecision"].value):
            integers += 1
        else:
            floats.append(f"{op.get_friendly_name()} ({kind})")
    return Precision(integers, tuple(floats))
