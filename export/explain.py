"""The layer report: where an int8 network departs from the float one, in each engine.

For every layer the signal-to-quantisation-noise ratio of its output, over held-out pictures:
10·log10(sum of squares / sum of squared differences), in decibel. Six decibel are one bit.
"""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgecnn.export.formats.onnx.parts import channels_first
from edgecnn.export.quantised import Quantised
from edgecnn.export.statistics import GraphRun, features
from edgecnn.file_array import Images
from edgecnn.graph import Array

PICTURES = 16
PLOT = "layers.png"

Tensors = dict[str, Array]
"""By layer, in NCHW."""


def explain(
    quantised: Quantised, formats: Sequence[str], folder: Path, images: Images
) -> dict[str, dict[str, float]]:
    """By format and layer, decibel; over at most 16 uint8 pictures (count, H, W, C).

    Reads the finished artifacts in a folder in their own engines.
    """
    graph = quantised.graph
    layers = [op.name for op in features(graph) if op.op not in ("input", "requantise")]
    images = images[:PICTURES]
    reference = GraphRun(graph, layers)
    expected = [tensors for _, tensors in reference.over(images)]
    found = {
        "tflite": lambda: litert_tensors(folder / "model.tflite", layers, images),
        "onnx": lambda: _onnx(quantised, layers, images),
        "openvino": lambda: _openvino(folder, quantised, layers, images),
    }
    return {name: _ratios(layers, expected, found[name]()) for name in formats}


def worst(ratios: dict[str, float], count: int = 5) -> list[tuple[str, float]]:
    """The layers that lost most."""
    return sorted(ratios.items(), key=lambda item: item[1])[:count]


def ratio(signal: float, noise: float) -> float:
    """Of two sums of squares, in decibel."""
    return round(10 * float(np.log10(max(signal, 1e-30) / max(noise, 1e-30))), 2)


def _ratios(
    layers: Sequence[str], expected: Sequence[Tensors], found: Iterator[Tensors]
) -> dict[str, float]:
    signal = dict.fromkeys(layers, 0.0)
    noise: dict[str, float] = {}
    for wanted, got in zip(expected, found, strict=True):
        for name in layers:
            if name in got:
                signal[name] += float(np.square(wanted[name], dtype=np.float64).sum())
                difference = np.square(wanted[name] - got[name], dtype=np.float64).sum()
                noise[name] = noise.get(name, 0.0) + float(difference)
    return {
        name: ratio(signal[name], noise[name])
        for name in layers
        if name in noise and signal[name] > 0
    }


def _onnx(quantised: Quantised, layers: Sequence[str], images: Images) -> Iterator[Tensors]:
    run = GraphRun(quantised.graph, layers, quantised)
    for _, tensors in run.over(images):
        yield tensors


def litert_tensors(model: Path, layers: Sequence[str], images: Images) -> Iterator[Tensors]:
    """For each picture, what LiteRT computes for these layers, as real numbers."""
    from ai_edge_litert.interpreter import Interpreter

    from edgecnn.quiet import quiet_native_stderr

    with quiet_native_stderr(), warnings.catch_warnings():
        # It warns that keeping all tensors is for debugging, which this is.
        warnings.simplefilter("ignore", UserWarning)
        interpreter = Interpreter(model_path=str(model), experimental_preserve_all_tensors=True)
        interpreter.allocate_tensors()
    (picture,) = interpreter.get_input_details()
    details = {detail["name"]: detail for detail in interpreter.get_tensor_details()}
    for image in images:
        interpreter.set_tensor(picture["index"], image[None])
        interpreter.invoke()
        yield {name: _nchw(_real(interpreter, details[name])) for name in layers if name in details}


def _real(interpreter: Any, detail: dict[str, Any]) -> Array:
    value = interpreter.get_tensor(detail["index"])
    scale, zero_point = detail["quantization"]
    if value.dtype == np.int8:
        value = (value.astype(np.float32) - zero_point) * np.float32(scale)
    return np.asarray(value, np.float32)


def _nchw(value: Array) -> Array:
    return value.transpose(0, 3, 1, 2) if value.ndim == 4 else value


def _openvino(
    folder: Path, quantised: Quantised, layers: Sequence[str], images: Images
) -> Iterator[Tensors]:
    import openvino as ov

    core = ov.Core()
    model = core.read_model(folder / "model.xml")
    # A quantised tensor carries the name of its DequantizeLinear; where the reader has merged it
    # away there is nothing to look at.
    known = {name for op in model.get_ops() for port in op.outputs() for name in port.get_names()}
    shown = [
        (layer, name)
        for layer in layers
        for name in (f"{layer}/dq", layer)
        if name in known and (name == layer or layer in quantised.scales)
    ]
    names = dict(reversed(shown))
    for name in names.values():
        model.add_outputs(name)
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    graph = quantised.graph
    for image in images:
        results = compiled(image[None])
        yield {
            layer: np.reshape(results[name], channels_first(graph[layer].shape))
            for layer, name in names.items()
        }


def draw(ratios: dict[str, dict[str, float]], path: Path, title: str) -> None:
    """A line for each format over the layers, in execution order, as a PNG."""
    from matplotlib.figure import Figure

    layers = list(dict.fromkeys(name for found in ratios.values() for name in found))
    figure = Figure(figsize=(max(8.0, len(layers) * 0.16), 5), layout="constrained")
    axes = figure.subplots()
    for name, found in ratios.items():
        places = [index for index, layer in enumerate(layers) if layer in found]
        axes.plot(places, [found[layers[i]] for i in places], marker=".", label=name)
    axes.set_xticks(range(len(layers)), layers, rotation=90, fontsize=6)
    axes.set_ylabel("signal to quantisation noise, dB")
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
