"""What a model file takes in memory: resident bytes of a process that does nothing else.

    python -m benchmarks.resident litert model.tflite PICTURE.npy

prints by how much the process grew at its peak, from before it opened the file until it had
answered a picture a few times. The engine's own libraries are loaded before and do not count.
"""

import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.engines import ENGINES
from edgecnn.targets.board.process_memory import Memory

CALLS = 3
MODULES = {
    "litert": "ai_edge_litert.interpreter",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
}
ROOT = Path(__file__).parents[1]


def growth_bytes(runtime: str, model: Path, picture: NDArray[Any]) -> int:
    """Measured in a fresh process."""
    with tempfile.NamedTemporaryFile(suffix=".npy") as shown:
        np.save(shown.name, picture)
        asked = runtime, str(model.resolve()), shown.name
        command = [sys.executable, "-m", "benchmarks.resident", *asked]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=True)
    return int(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure this process."""
    runtime, model, shown = sys.argv[1:]
    picture = np.load(shown)
    _loaded(runtime)
    before = Memory.now().resident
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    engine = ENGINES[runtime](Path(model), 1)
    engine.show(picture)
    for _ in range(CALLS):
        engine.invoke()
    print(Memory.now().peak - before)


def _loaded(runtime: str) -> None:
    engine = importlib.import_module(MODULES[runtime])
    if runtime == "openvino":
        engine.Core().get_versions("CPU")  # loads the plugin


if __name__ == "__main__":
    main()
