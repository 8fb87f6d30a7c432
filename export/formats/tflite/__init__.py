"""TFLite: which operators compute in integers, the type of each tensor says."""

from pathlib import Path

from ai_edge_litert import schema_py_generated as schema

from edgecnn.export.formats.about import About
from edgecnn.export.formats.format import CONVERSIONS, ComputedIn
from edgecnn.export.formats.tflite.writer import to_tflite
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
    """Write `model.tflite` into a folder."""
    (folder / "model.tflite").write_bytes(to_tflite(graph, quantised, half=half, about=about))


def audit(folder: Path) -> ComputedIn:
    """See `Format.audit`."""
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
    return ComputedIn(integers, tuple(floats))
