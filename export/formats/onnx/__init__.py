"""ONNX: which operators compute in integers, ONNX Runtime decides when it loads the model."""

import tempfile
from pathlib import Path

import onnx
from onnx import helper

from edgecnn.errors import require
from edgecnn.export.formats.about import About
from edgecnn.export.formats.format import CONVERSIONS, ComputedIn
from edgecnn.export.formats.onnx.writer import to_onnx
from edgecnn.export.quantised import Quantised
from edgecnn.graph import Graph


def write(
    graph: Graph,
    quantised: Quantised | None,
    folder: Path,
    *,
    half: bool = False,
    about: About | None = None,
) -> None:
    """Write `model.onnx` into a folder."""
    model = to_onnx(graph, quantised, half=half)
    if about is not None:
        helper.set_model_props(model, about.properties())
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, folder / "model.onnx")


def audit(folder: Path) -> ComputedIn:
    """See `Format.audit`."""
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
    return ComputedIn(integers, tuple(floats))
