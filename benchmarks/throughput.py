"""Many pictures through OpenVINO: edgecnn's sessions beside OpenVINO's benchmark_app, in turn.

    python -m benchmarks.throughput BUNDLE [--rounds 5] [--seconds 3]

Both run the bundle's own file on pictures already in memory, with a request for each core;
benchmark_app in its throughput mode (`-hint throughput`), which comes with OpenVINO.
"""

import argparse
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from edgecnn.bundle import Bundle
from edgecnn.parallel import cores
from edgecnn.targets.engines import runtimes
from edgecnn.targets.engines.sessions import Sessions

PICTURES = 64
APP = (sys.executable, "-c", "from openvino.tools.benchmark.main import main; main()")
"""What the command benchmark_app of the wheel does."""
SAID = re.compile(r"Throughput:\s+([\d.]+)")


def rates(bundle: Path, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Pictures a second in each round; raises `SystemExit` where benchmark_app says none."""
    loaded = Bundle.load(bundle)
    model = loaded.model_file("openvino")
    sessions = Sessions.open(runtimes.get("openvino"), model, cores())
    shape = (PICTURES, *loaded.preprocessing.shape[1:])
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    command = [*APP, "-m", str(model), "-d", "CPU", "-hint", "throughput", "-t", f"{seconds:g}"]
    list(sessions.answers(images))
    found: dict[str, list[float]] = {"edgecnn": [], "benchmark_app": []}
    for _ in range(rounds):
        begun = time.perf_counter()
        answered, spent = 0, 0.0
        while spent < seconds:
            answered += sum(1 for _ in sessions.answers(images))
            spent = time.perf_counter() - begun
        found["edgecnn"].append(answered / spent)
        said = SAID.search(subprocess.run(command, capture_output=True, text=True).stdout)
        if said is None:
            raise SystemExit(f"benchmark_app said no throughput: {' '.join(command)}")
        found["benchmark_app"].append(float(said[1]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    asked = parser.parse_args()
    found = rates(asked.bundle, asked.rounds, asked.seconds)
    for name, values in found.items():
        print(f"{name:14} {statistics.median(values):8.1f} pictures/s of {asked.rounds} rounds")
    each = [ours / app for ours, app in zip(*found.values(), strict=True)]
    print(f"ratio {statistics.median(each):.3f}, from {min(each):.3f} to {max(each):.3f}")


if __name__ == "__main__":
    main()
