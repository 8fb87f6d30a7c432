"""The OpenVINO writer: the ONNX model as OpenVINO's own reader takes it, saved as IR."""

from pathlib import Path

import openvino as ov
from openvino._offline_transformations import apply_moc_transformations

from edgecnn.export.about import About
from edgecnn.export.onnx import to_onnx
from edgecnn.export.quantised import Quantised
from edgecnn.graph import Graph


def write_openvino(
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
