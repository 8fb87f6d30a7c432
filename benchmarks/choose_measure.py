"""Measures what `benchmarks.choose` judges by: networks of the zoo in every engine, here.

    python -m benchmarks.choose_measure .cache/choose.json             # goes on where it stopped
    python -m benchmarks.choose_measure .cache/choose.json --passes 3  # the fastest of three
    python -m benchmarks.choose_measure .cache/memory.json --memory

Each network is exported with random weights at its own input and at a small one, in int8 and in
float32, and timed with one and with two threads, an engine a process: what `edgecnn choose --board
this` does with fewer networks. With --memory, the peak of a fresh process for each is measured
beside what the RAM analysis and the engine's own memory predict.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgecnn import zoo
from edgecnn.bundle import MANIFEST, MODEL_FILES, SCHEMA, describe_file
from edgecnn.choosing import analyses
from edgecnn.choosing.here import exported, time_network
from edgecnn.labels import LABELS, write_labels
from edgecnn.targets.board.target import Target, detect
from edgecnn.targets.engines import runtimes
from edgecnn.targets.engines.memory_model import NetworkMemory
from edgecnn.targets.profiling.baseline import baseline
from edgecnn.targets.profiling.measuring import measure
from edgecnn.targets.profiling.profiler import predict

SMALL = 128
NETWORKS = (
    *("mobilenet_v2", "resnet18", "efficientnet_lite0", "mobilenet_v3_large", "googlenet"),
    *("densenet121", "resnet50", "mobilenet_v1", "efficientnet_b0", "alexnet", "seresnet50"),
    *("mobilenet_v3_small", "resnet34", "inception_v3", "cspresnet50", "efficientnet_lite2"),
    *("xception", "resnext50_32x4d", "efficientnet_b1", "vgg16", "efficientnet_lite1"),
    *("resnet101", "efficientnet_b2", "densenet169", "zfnet", "lenet5", "fashion_cnn"),
)
"""Those that are most unlike each other first."""
HEAVY = {"vgg16", "resnet101"}
"""At the small input only."""


def places() -> Iterator[tuple[str, int]]:
    """Networks with the sides of their inputs."""
    for name in NETWORKS:
        own = zoo.get(name).input_shape[0]
        yield name, min(own, SMALL)
        if name not in HEAVY and own > SMALL:
            yield name, own


def timed(name: str, side: int, board: Target) -> Iterator[dict[str, Any]]:
    """Latencies of a network."""
    threads = sorted({1, board.threads})
    for one in time_network(name, side, tuple(runtimes.RUNTIMES), analyses.PRECISIONS, threads):
        yield asdict(one)


def held(name: str, side: int, board: Target) -> Iterator[dict[str, Any]]:
    """Peaks of a network's processes in int8, against what was predicted."""
    with tempfile.TemporaryDirectory() as scratch:
        (folder,) = exported(name, side, ("int8",), Path(scratch))
        make_bundle(folder, name, side)
        analysis = analyses.known(name, side, "int8")
        for runtime in runtimes.RUNTIMES:
            engine = runtimes.get(runtime)
            files = sum((folder / file).stat().st_size for file in MODEL_FILES[engine.format])
            network = NetworkMemory.of_analysis(analysis, files)
            constants = baseline(runtime, board.threads, board)
            predicted = predict(engine, network, constants).peak
            found = measure(folder, runtime, board.threads, runs=20, seconds=0, target=board.name)
            peak = found["memory"]["final"]["peak"]
            yield {
                "runtime": runtime,
                "measured_bytes": peak,
                "predicted_bytes": predicted,
                "error": round(predicted / peak - 1, 4),
            }


def make_bundle(folder: Path, name: str, side: int) -> None:
    """The manifest without which no profile opens model files."""
    entry = zoo.get(name)
    write_labels(folder / LABELS, [f"class {number}" for number in range(entry.classes)])
    artifacts = {
        format: {"files": [asdict(describe_file(folder, file)) for file in files]}
        for format, files in MODEL_FILES.items()
    }
    manifest = {
        "schema": SCHEMA,
        "architecture": name,
        "precision": "int8",
        "weights": {"kind": "random", "source": "benchmark", "sha256": ""},
        "preprocessing": entry.preprocessing_for((side, side, entry.input_shape[2])).to_json(),
        "labels": asdict(describe_file(folder, LABELS)),
        "artifacts": artifacts,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--memory", action="store_true")
    asked = parser.parse_args()
    look = held if asked.memory else timed
    board = detect()
    found = json.loads(asked.out.read_text()) if asked.out.exists() else []
    stop = time.monotonic() + 60 * asked.minutes
    for number in range(1, asked.passes + 1):
        for name, side in places():
            mine = [row for row in found if (row["architecture"], row["side"]) == (name, side)]
            if (mine and mine[0]["pass"] >= number) or time.monotonic() > stop:
                continue
            started = time.monotonic()
            place = {"architecture": name, "side": side, "pass": number}
            rows = [place | one for one in look(name, side, board)]
            for old, new in zip(mine, rows, strict=bool(mine)) if "ms" in rows[0] else ():
                new["ms"] = min(old["ms"], new["ms"])  # what disturbs only ever adds
            found = [row for row in found if row not in mine] + rows
            asked.out.parent.mkdir(parents=True, exist_ok=True)
            asked.out.write_text(json.dumps(found, indent=0) + "\n")
            print(f"{number}: {name} {side}: {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
