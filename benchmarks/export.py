"""Exporting ResNet-34 to int8 in three formats: edgecnn against the libraries' own recipes.

Each recipe runs in a fresh process, one after another in the same run, on the same Keras model
and the same calibration pictures:

- TFLite: `tf.lite.TFLiteConverter` with a representative data set, full integer;
- ONNX: tf2onnx through `model.export`, then ONNX Runtime's `quantize_static`, QDQ;
- OpenVINO: `ov.convert_model` on the exported model, then NNCF's `quantize`.

    make bench          (or: python benchmarks/export.py [--pictures 100])

Prints seconds and peak resident memory of each process, and the ratio. Ours includes importing
TensorFlow, building the model, and verifying all three artifacts against Keras.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ARCHITECTURE = "resnet34"


def pictures(count: int) -> np.ndarray[Any, Any]:
    """Calibration pictures as the network's uint8 input (count, 224, 224, 3)."""
    from edgecnn import zoo
    from edgecnn.calibration.default import default_calibration
    from edgecnn.pictures import prepare

    found = default_calibration()
    everything = (*found.pictures, *found.held_out)[:count]
    return prepare(everything, zoo.get(ARCHITECTURE).preprocessing)


def model_and_floats(count: int) -> tuple[Any, np.ndarray[Any, Any]]:
    """The Keras model with a fixed batch, and normalised pictures."""
    import keras

    from edgecnn import zoo

    keras.utils.set_random_seed(0)
    network = zoo.build(ARCHITECTURE)
    image = keras.Input(network.input_shape[1:], batch_size=1)
    model = keras.Model(image, network(image))
    return model, zoo.get(ARCHITECTURE).preprocessing.normalise(pictures(count))


def ours(folder: Path, count: int) -> None:
    """`edgecnn.export` to three formats, with a calibration set of that many pictures."""
    import edgecnn
    from edgecnn.calibration.calibration_set import CalibrationSet
    from edgecnn.calibration.default import default_calibration

    found = default_calibration()
    held_out = found.held_out[-12:]
    used = (*found.pictures, *found.held_out[:-12])[:count]
    chosen = CalibrationSet("bench", used, held_out, found.origin)
    edgecnn.export(ARCHITECTURE, calibration=chosen, weights="random", out=folder / "bundle")


def tflite(folder: Path, count: int) -> None:
    """TensorFlow's converter."""
    import tensorflow as tf

    model, floats = model_and_floats(count)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([x[None]] for x in floats)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    (folder / "model.tflite").write_bytes(converter.convert())


def onnx(folder: Path, count: int) -> None:
    """Keras's ONNX export and ONNX Runtime's static quantisation."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    model, floats = model_and_floats(count)
    model(floats[:1])  # the export refuses a model that was never called
    model.export(folder / "float.onnx", format="onnx", verbose=False)
    quant_pre_process(
        str(folder / "float.onnx"), str(folder / "ready.onnx"), skip_symbolic_shape=True
    )
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / "ready.onnx"))
    name = session.get_inputs()[0].name
    del session

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._rest = iter(floats)

        def get_next(self) -> dict[str, Any] | None:
            image = next(self._rest, None)
            return None if image is None else {name: image[None]}

    quantize_static(
        str(folder / "ready.onnx"),
        str(folder / "model.onnx"),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
    )


def openvino(folder: Path, count: int) -> None:
    """Keras's OpenVINO export and NNCF."""
    import nncf
    import openvino as ov

    model, floats = model_and_floats(count)
    model.export(folder / "saved", format="tf_saved_model", verbose=False)
    converted = ov.convert_model(folder / "saved")
    data = nncf.Dataset([x[None] for x in floats])
    quantised = nncf.quantize(converted, data, subset_size=count)
    ov.save_model(quantised, folder / "model.xml")


RECIPES = {"edgecnn": ours, "tflite": tflite, "onnx": onnx, "openvino": openvino}


def measured(name: str, count: int) -> dict[str, float]:
    """Run one recipe in a fresh process."""
    command = [sys.executable, __file__, "--only", name, "--pictures", str(count)]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
    peak = json.loads(done.stdout.splitlines()[-1])["peak_bytes"]
    return {"seconds": round(seconds, 1), "peak_gb": round(peak / 1e9, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--only", choices=RECIPES)
    arguments = parser.parse_args()
    if arguments.only:
        with tempfile.TemporaryDirectory() as folder:
            RECIPES[arguments.only](Path(folder), arguments.pictures)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"peak_bytes": peak}))
        return
    found = {}
    for name in RECIPES:
        figures = found[name] = measured(name, arguments.pictures)
        print(
            f"{name:10} {figures['seconds']:7.1f} s   peak {figures['peak_gb']:.2f} GB", flush=True
        )
    theirs = sum(figures["seconds"] for name, figures in found.items() if name != "edgecnn")
    print(f"edgecnn / the three one after another: {found['edgecnn']['seconds'] / theirs:.2f}")


if __name__ == "__main__":
    main()
