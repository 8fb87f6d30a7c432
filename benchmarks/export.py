"""Exporting ResNet-34 to int8 in three formats: edgecnn against the libraries' own recipes.

Each recipe runs in a fresh process, one after another in the same run, on the same Keras model
and the same calibration pictures:

`tf.lite.TFLiteConverter`, ONNX Runtime's `quantize_static` behind tf2onnx, and NNCF's `quantize`
behind `ov.convert_model`, as in `peers.py`.

    pip install -e '.[bench]' && python -m benchmarks.export [--pictures 100]

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
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import PEERS

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


def theirs(name: str, folder: Path, count: int) -> None:
    """A library's own recipe."""
    model, floats = model_and_floats(count)
    PEERS[name].make(model, floats, folder)


RECIPES: dict[str, Callable[[Path, int], None]] = {
    "edgecnn": ours,
    **{name: partial(theirs, name) for name in ("TFLiteConverter", "quantize_static", "NNCF")},
}


def measured(name: str, count: int) -> dict[str, float]:
    """Run one recipe in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.export", "--only", name, "--pictures", str(count)]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
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
            f"{name:16} {figures['seconds']:7.1f} s   peak {figures['peak_gb']:.2f} GB", flush=True
        )
    theirs = sum(figures["seconds"] for name, figures in found.items() if name != "edgecnn")
    print(f"edgecnn / the three one after another: {found['edgecnn']['seconds'] / theirs:.2f}")


if __name__ == "__main__":
    main()
