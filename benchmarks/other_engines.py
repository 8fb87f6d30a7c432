"""An engine of a Python environment of its own, for `benchmarks.bench`: a burst for every line.

    PYTHON benchmarks/other_engines.py ncnn|MNN FLOAT.onnx THREADS
    PYTHON benchmarks/other_engines.py ultralytics

`pip install ncnn pnnx MNN ultralytics` makes that environment. When all is loaded it writes a line;
then, for each line that it reads, a JSON object: milliseconds of the fastest of a burst of calls,
by what was called. ncnn and MNN run the float network, made by their own converters (pnnx,
mnnconvert); Ultralytics its own YOLO11n-cls with random weights, by `predict`, from a 640×480 frame
to the label, and as the bare network. Nothing of edgecnn is imported.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

BURST = 5
Calls = dict[str, Callable[[], Any]]


def ncnn(model: Path, threads: int, folder: Path) -> Calls:
    """Through pnnx, which ncnn's authors give for ONNX."""
    import ncnn as engine
    import pnnx

    source = folder / "net.onnx"
    source.write_bytes(model.read_bytes())
    subprocess.run(
        [pnnx.EXEC_PATH, str(source), "inputshape=[1,3,224,224]"],
        check=True,
        cwd=folder,
        stdout=sys.stderr,
    )
    net = engine.Net()
    net.opt.num_threads = threads
    net.load_param(str(folder / "net.ncnn.param"))
    net.load_model(str(folder / "net.ncnn.bin"))
    # A Mat of an array looks into the array's memory: the copy is its own.
    picture = engine.Mat(np.random.default_rng(0).random((3, 224, 224), np.float32)).clone()

    def call() -> None:
        with net.create_extractor() as extractor:
            extractor.input("in0", picture)
            extractor.extract("out0")

    return {"ncnn": call}


def mnn(model: Path, threads: int, folder: Path) -> Calls:
    """Through its own converter."""
    import MNN

    made = folder / "net.mnn"
    tool = Path(sys.executable).with_name("mnnconvert")
    command = [str(tool), "-f", "ONNX", "--modelFile", str(model), "--MNNModel", str(made)]
    subprocess.run([*command, "--bizCode", "bench"], check=True, stdout=sys.stderr)
    runtime = MNN.nn.create_runtime_manager(({"backend": "CPU", "numThread": threads},))
    net = MNN.nn.load_module_from_file(str(made), [], [], runtime_manager=runtime)
    picture = MNN.expr.const(
        np.random.default_rng(0).random((1, 3, 224, 224), np.float32),
        [1, 3, 224, 224],
        MNN.expr.NCHW,
    )
    return {"MNN": lambda: net.forward(picture).read()}


def ultralytics() -> Calls:
    """Frame to label as its users do, and its network alone."""
    import torch
    from ultralytics import YOLO

    model = YOLO("yolo11n-cls.yaml")
    frame = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    model.predict(frame, verbose=False, imgsz=224)
    network, picture = model.predictor.model, torch.zeros(1, 3, 224, 224)

    def bare() -> None:
        with torch.inference_mode():
            network(picture)

    return {
        "Ultralytics, frame to label": lambda: model.predict(frame, verbose=False, imgsz=224),
        "Ultralytics' network alone": bare,
    }


def burst(call: Callable[[], Any]) -> float:
    """Milliseconds of the fastest."""
    times = []
    for _ in range(BURST):
        begun = time.perf_counter()
        call()
        times.append((time.perf_counter() - begun) * 1e3)
    return min(times)


def main() -> None:
    # Engines greet on standard output, from C++ too.
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory() as folder:
        if sys.argv[1] == "ultralytics":
            calls = ultralytics()
        else:
            make = {"ncnn": ncnn, "MNN": mnn}[sys.argv[1]]
            calls = make(Path(sys.argv[2]).resolve(), int(sys.argv[3]), Path(folder))
        for call in calls.values():
            call()
        print("ready", file=told, flush=True)
        for _ in sys.stdin:
            found = {name: burst(call) for name, call in calls.items()}
            print(json.dumps(found), file=told, flush=True)


if __name__ == "__main__":
    main()
