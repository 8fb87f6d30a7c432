"""int8 by the libraries' own recipes: what edgecnn is measured against.

Each takes a Keras model, the calibration pictures as it wants them (count, H, W, C, float32) and a
folder, and gives the file it made there. Settings are those that a library's documentation gives
for a convolutional network on a CPU, weights per channel.
"""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

Pictures = NDArray[np.float32]


@dataclass(frozen=True)
class Peer:
    """A tool that quantises for an engine."""

    name: str
    runtime: str
    """The engine it writes for, as edgecnn calls it."""
    needs: tuple[str, ...]
    """Modules that must be installed."""
    make: "Callable[[keras.Model, Pictures, Path], Path]"

    @property
    def missing(self) -> str | None:
        """What is not installed, if anything is not."""
        return next((name for name in self.needs if find_spec(name) is None), None)


def _converter(model: "keras.Model") -> Any:
    import keras
    import tensorflow as tf

    # A picture at a time, as on a board.
    image = keras.Input(model.inputs[0].shape[1:], batch_size=1)
    return tf.lite.TFLiteConverter.from_keras_model(keras.Model(image, model(image)))


def tflite_converter(
    model: "keras.Model", pictures: Pictures, folder: Path, *, wide: bool = False
) -> Path:
    """TensorFlow's converter, integers only, at both ends too; `wide` has 16-bit activations."""
    import tensorflow as tf

    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([x[None]] for x in pictures)
    sets, ends = tf.lite.OpsSet, tf.int16 if wide else tf.int8
    in_16_bits = sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    converter.target_spec.supported_ops = [in_16_bits if wide else sets.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = ends
    path = folder / "model.tflite"
    path.write_bytes(converter.convert())
    return path


def ai_edge_quantizer(model: "keras.Model", pictures: Pictures, folder: Path) -> Path:
    """Google's quantiser of TFLite files: static, 8-bit weights and activations."""
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    in_float = folder / "float.tflite"
    in_float.write_bytes(_converter(model).convert())
    ((signature, ends),) = Interpreter(model_path=str(in_float)).get_signature_list().items()
    (name,) = ends["inputs"]
    tool = quantizer.Quantizer(str(in_float))
    tool.load_quantization_recipe(recipe.static_wi8_ai8())
    seen = tool.calibrate({signature: [{name: x[None]} for x in pictures]})
    path = folder / "model.tflite"
    tool.quantize(seen).export_model(str(path), overwrite=True)
    return path


def _onnx(model: "keras.Model", pictures: Pictures, folder: Path) -> Path:
    """Keras's ONNX export, with ONNX Runtime's preparations."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    in_float, ready = folder / "float.onnx", folder / "ready.onnx"
    model(pictures[:1])  # the export refuses a model that was never called
    model.export(in_float, format="onnx", verbose=False)
    quant_pre_process(str(in_float), str(ready), skip_symbolic_shape=True)
    return ready


def quantize_static(
    model: "keras.Model", pictures: Pictures, folder: Path, *, wide: bool = False
) -> Path:
    """ONNX Runtime's static quantisation, QDQ; `wide` has 16-bit activations."""
    import onnxruntime
    from onnxruntime import quantization

    ready, path = _onnx(model, pictures, folder), folder / "model.onnx"
    types = quantization.QuantType
    name = onnxruntime.InferenceSession(str(ready)).get_inputs()[0].name

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._rest: Iterator[Any] = iter(pictures)

        def get_next(self) -> dict[str, Any] | None:
            image = next(self._rest, None)
            return None if image is None else {name: image[None]}

    quantization.quantize_static(
        str(ready),
        str(path),
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        activation_type=types.QUInt16 if wide else types.QUInt8,
        weight_type=types.QInt8,
        per_channel=True,
        # ONNX itself has quantisers of 16 bits from its version 21 on.
        extra_options={"UseQDQContribOps": wide},
    )
    return path


def nncf(model: "keras.Model", pictures: Pictures, folder: Path, *, fast: bool = True) -> Path:
    """Keras's SavedModel, OpenVINO's converter and Intel's NNCF, with either bias correction."""
    import nncf as library
    import openvino as ov

    model.export(folder / "saved", format="tf_saved_model", verbose=False)
    converted = ov.convert_model(folder / "saved")
    converted.reshape([1, *model.inputs[0].shape[1:]])
    quantised = library.quantize(
        converted,
        library.Dataset([x[None] for x in pictures]),
        subset_size=len(pictures),
        fast_bias_correction=fast,
    )
    path = folder / "model.xml"
    ov.save_model(quantised, path)
    return path


def outside(tool: str, python: str) -> Peer:
    """A tool of `onnx_peers.py`, in the environment of that Python."""

    def make(model: "keras.Model", pictures: Pictures, folder: Path) -> Path:
        ready, seen, path = (
            _onnx(model, pictures, folder),
            folder / "seen.npy",
            folder / "model.onnx",
        )
        np.save(seen, pictures)
        script = Path(__file__).with_name("onnx_peers.py")
        command = [python, *map(str, (script, tool, ready, seen, path))]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return path

    return Peer(tool, "onnxruntime", ONNX, make)


ONNX = ("onnxruntime", "onnx", "tf2onnx")
PEERS = {
    peer.name: peer
    for peer in (
        Peer("TFLiteConverter", "litert", ("tensorflow",), tflite_converter),
        Peer("ai-edge-quantizer", "litert", ("ai_edge_quantizer",), ai_edge_quantizer),
        Peer("quantize_static", "onnxruntime", ONNX, quantize_static),
        Peer("NNCF", "openvino", ("nncf", "openvino"), nncf),
        Peer("NNCF full", "openvino", ("nncf", "openvino"), partial(nncf, fast=False)),
    )
}
WIDER = {
    peer.name: peer
    for peer in (
        Peer(
            "TFLiteConverter 16x8", "litert", ("tensorflow",), partial(tflite_converter, wide=True)
        ),
        Peer("quantize_static 16x8", "onnxruntime", ONNX, partial(quantize_static, wide=True)),
    )
}
"""With 16-bit activations, where an engine has them: no int8 is held to these."""
