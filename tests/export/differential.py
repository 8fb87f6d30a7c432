"""Exports random networks and compares what their files say with what Keras says.

    python tests/export/differential.py SEED[:END]      what is wrong of each, and what was refused

The judge shares nothing with the verification of `edgecnn.export`: Keras's model is called, and
each file is opened with its engine's own API and fed raw pictures.
"""

import faulthandler
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from edgecnn.errors import EdgeCnnError
from edgecnn.export import network as networks
from edgecnn.export.folding import fold, with_whole_zero_point
from edgecnn.export.formats.onnx import write as write_onnx
from edgecnn.export.formats.openvino import write as write_openvino
from edgecnn.export.formats.tflite import write as write_tflite
from edgecnn.export.heads import with_head
from edgecnn.export.recipe import Quantiser, Recipe

if __name__ == "__main__":  # as a module, whoever imports it has loaded the other one
    sys.path.insert(0, str(Path(__file__).parent))
if TYPE_CHECKING:
    from tests.export import random_networks
else:
    import random_networks

WRITERS = {"tflite": write_tflite, "onnx": write_onnx, "openvino": write_openvino}
FILES = {"tflite": "model.tflite", "onnx": "model.onnx", "openvino": "model.xml"}
TESTED, SEEN = 8, 64
"""Pictures that are compared, and pictures for calibration."""
REAL, INTEGER = 1e-3, 0.05
"""The largest error of an output in float32, and the largest mean error in int8."""
APART = 0.01


def engine(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """A file in its engine: uint8 picture in, raw output out."""
    if path.suffix == ".tflite":
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(path), num_threads=1)
        interpreter.allocate_tensors()
        entry, end = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

        def run(picture: np.ndarray) -> np.ndarray:
            interpreter.set_tensor(entry["index"], picture)
            interpreter.invoke()
            return interpreter.get_tensor(end["index"]).copy()

        return run
    if path.suffix == ".onnx":
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = ort.InferenceSession(str(path), options)
        name = session.get_inputs()[0].name
        return lambda picture: session.run(None, {name: picture})[0]
    import openvino as ov

    compiled = ov.Core().compile_model(
        str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    )
    request = compiled.create_infer_request()
    return lambda picture: np.array(request.infer(picture)[compiled.outputs[0]])


def answers(file: Path, pictures: np.ndarray) -> np.ndarray:
    run = engine(file)
    return np.stack([run(picture[None]).reshape(-1) for picture in pictures])


def normalised(drawn: "random_networks.Drawn", pictures: np.ndarray) -> np.ndarray:
    x, given = pictures.astype(np.float32), drawn.preprocessing
    mean, std = np.array(given.mean, np.float32), np.array(given.std, np.float32)
    return x if given.is_raw else (x - mean) / std


def with_added(drawn: "random_networks.Drawn", found: np.ndarray) -> np.ndarray:
    """Raw answers with the function that the user asked to be added."""
    found = found.astype(np.float32).reshape(len(found), -1)
    if drawn.added == "softmax":
        powers = np.exp(found - found.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)
    return 1 / (1 + np.exp(-found)) if drawn.added == "sigmoid" else found


def expected(drawn: "random_networks.Drawn", pictures: np.ndarray) -> np.ndarray:
    """What Keras says."""
    return with_added(
        drawn, np.asarray(drawn.reference(normalised(drawn, pictures), training=False))
    )


def noise(drawn: "random_networks.Drawn", pictures: np.ndarray) -> float:
    """How far the answers move if every layer's result is rounded to 8 bits, in Keras itself.

    What an integer network may be expected to lose, and a network that amplifies everything more.
    """
    model = drawn.reference
    function = getattr(model, "_functional", None) or model

    def rounded(operation: Any) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            training = (
                {"training": False} if getattr(operation, "_call_has_training_arg", 0) else {}
            )
            found = operation(*args, **kwargs | training)
            return keras.tree.map_structure(_in_steps, found)

        return call

    x = normalised(drawn, pictures)
    moved = np.asarray(function._run_through_graph(x, operation_fn=rounded), np.float32)
    still = np.asarray(model(x, training=False), np.float32)
    return float(np.abs(with_added(drawn, moved) - with_added(drawn, still)).mean())


def _in_steps(x: Any) -> Any:
    values = np.asarray(x)
    if values.dtype != np.float32:
        return x
    step = (max(values.max(), 0) - min(values.min(), 0)) / 255 + 1e-30
    return keras.ops.convert_to_tensor(np.round(values / step) * step, "float32")


def wrong(drawn: "random_networks.Drawn", folder: Path, integers: bool = True) -> list[str]:
    """What is wrong with the files of a network; raises `EdgeCnnError` where it is refused."""
    tested = random_networks.pictures(TESTED, drawn.size, drawn.seed + 2)
    seen = random_networks.pictures(SEEN, drawn.size, drawn.seed + 3)
    want = expected(drawn, tested)
    network = networks.of_model(drawn.model, drawn.preprocessing, None)
    trained, _, note = with_head(network.graph, drawn.head)
    if note is not None:
        trained, _, _ = with_head(network.graph, drawn.head, network.answers(seen))
    graph = fold(trained, network.preprocessing)
    found: list[str] = []
    spread = max(float(np.ptp(want, axis=0).max()), 0.05)
    for name, write in WRITERS.items():
        write(graph, None, folder)
        got = answers(folder / FILES[name], tested)
        if got.shape != want.shape:
            found.append(f"float32 {name}: {got.shape[1]} outputs, Keras has {want.shape[1]}")
            continue
        error = np.abs(got - want).max()
        if not error <= REAL * max(1.0, spread):
            found.append(f"float32 {name}: off by {error:.3g} of {spread:.3g}")
    if found or not integers:
        return found
    quantised = Quantiser(with_whole_zero_point(graph), seen).quantise(Recipe())
    errors = {}
    for name, write in WRITERS.items():
        write(quantised.graph, quantised, folder)
        got = answers(folder / FILES[name], tested)
        errors[name] = float(np.abs(got - want).mean())
    best = min(errors.values())
    if max(errors.values()) <= min(4 * best + APART, INTEGER):
        return []
    likely = noise(drawn, tested)
    for name, error in errors.items():
        if not error <= 4 * best + APART + 4 * likely:
            found.append(
                f"int8 {name}: off by {error:.3f} on average, the best by {best:.3f}, "
                f"likely {likely:.3f}"
            )
    if not best <= INTEGER + 6 * likely:
        found.append(f"int8: off by {best:.3f} on average in every engine, likely {likely:.3f}")
    return found


def check(drawn: "random_networks.Drawn", integers: bool = True) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        return wrong(drawn, Path(folder), integers)


def main() -> int:
    first, _, last = sys.argv[1].partition(":")
    faulthandler.enable()
    refused: Counter[str] = Counter()
    failures = 0
    start = time.time()
    for seed in range(int(first), int(last or int(first) + 1)):
        print("at", seed, file=sys.stderr, flush=True)
        drawn = None
        try:
            drawn = random_networks.drawn(seed)
            found = check(drawn)
        except EdgeCnnError as error:
            refused[str(error)] += 1
            if not last:
                print(drawn and random_networks.describe(drawn), repr(error.__cause__))
            print(f"{seed} refused: {error}", flush=True)
            continue
        except Exception as error:
            import traceback

            found = [f"{type(error).__name__}: {error}", traceback.format_exc()[-1500:]]
        if not last:
            print(random_networks.describe(drawn) if drawn else "")
        if found:
            failures += 1
            print(f"{seed} FAIL {found} {drawn and drawn.blocks}", flush=True)
    print(f"{failures} failed, {sum(refused.values())} refused, {time.time() - start:.0f} s")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
