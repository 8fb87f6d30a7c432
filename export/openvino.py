"""The OpenVINO writer: the ONNX model as OpenVINO's own reader takes it, saved as IR."""

import io
from pathlib import Path

import openvino as ov

from edgecnn.export.onnx import to_onnx
from edgecnn.export.quantised import Quantised
from edgecnn.graph import Graph


def write_openvino(
    graph: Graph,
    quantised: Quantised | None,
    folder: Path,
    *,
    half: bool = False,
    metadata: dict[str, str],
) -> list[str]:
    """Write `model.xml` and `model.bin` into a folder; returns the file names.

    With `half`, weights are stored as float16.
    """
    source = to_onnx(graph, quantised, for_openvino=True).SerializeToString()
    model = ov.convert_model(io.BytesIO(source))
    for key, value in metadata.items():
        model.set_rt_info(value, ["edgecnn", key])
    ov.save_model(model, folder / "model.xml", compress_to_fp16=half)
    return ["model.xml", "model.bin"]
