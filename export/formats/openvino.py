"""OpenVINO: the ONNX model as OpenVINO's own reader takes it, saved as IR.

Which operators compute in integers, its plugin decides when it compiles the model.
"""

import re
from pathlib import Path

import openvino as ov
from openvino._offline_transformations import apply_moc_transformations

from edgecnn.export.formats.about import About
from edgecnn.export.formats.format import ComputedIn
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
    """Write `model.xml` and `model.bin` into a folder.

    With `half`, weights are stored as float16.
    """
    source = to_onnx(graph, quantised, for_openvino=True).SerializeToString()
    model = ov.Core().read_model(source)
    # The clean-up that `ov.convert_model` does, without its front end: a fifth of the time, and
    # no usage report sent from a user's machine.
    apply_moc_transformations(model, cf=False, smart_reshape=False)
    for key, value in about.properties().items() if about else ():
        model.set_rt_info(value, ["edgecnn", key])
    ov.save_model(model, folder / "model.xml", compress_to_fp16=half)


def audit(folder: Path) -> ComputedIn:
    """See `Format.audit`."""
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
    return ComputedIn(integers, tuple(floats))
