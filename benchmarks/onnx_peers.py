"""int8 by tools that need a Python environment of their own, from one float ONNX file to another.

    PYTHON benchmarks/onnx_peers.py aimet|modelopt FLOAT.onnx PICTURES.npy OUT.onnx

`benchmarks.accuracy --with aimet=PYTHON` starts this in the environment whose Python it is told:
`pip install aimet-onnx` and
`pip install 'nvidia-modelopt[onnx]'`. PICTURES are (count, H, W, C), as the network takes
them. Nothing of edgecnn is imported.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx

Feeds = list[dict[str, Any]]


def aimet(source: Path, feeds: Feeds, out: Path) -> None:
    """Qualcomm's AIMET: asymmetric activations, weights per channel."""
    import aimet_onnx
    from aimet_onnx.common.quantsim_config.utils import get_path_for_per_channel_config

    sim = aimet_onnx.QuantizationSimModel(
        onnx.load(source),
        param_type=aimet_onnx.int8,
        activation_type=aimet_onnx.int8,
        config_file=get_path_for_per_channel_config(),
        providers=["CPUExecutionProvider"],
    )
    sim.compute_encodings(feeds)
    onnx.save(sim.to_onnx_qdq(export_int32_bias=True, prequantize_constants=True), out)


def modelopt(source: Path, feeds: Feeds, out: Path) -> None:
    """NVIDIA's Model Optimizer, which writes for TensorRT: symmetric activations."""
    from modelopt.onnx.quantization import quantize

    (name,) = feeds[0]
    pictures = np.concatenate([feed[name] for feed in feeds])
    quantize(
        str(source),
        quantize_mode="int8",
        calibration_data={name: pictures},
        calibration_method="entropy",
        calibration_eps=["cpu"],
        high_precision_dtype="fp32",
        output_path=str(out),
    )


TOOLS = {"aimet": aimet, "modelopt": modelopt}


def main() -> None:
    """Quantise, by the tool named first."""
    tool, source, pictures, out = sys.argv[1:]
    name = onnx.load(source).graph.input[0].name
    TOOLS[tool](Path(source), [{name: x[None]} for x in np.load(pictures)], Path(out))


if __name__ == "__main__":
    main()
