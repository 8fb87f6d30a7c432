"""How far `edgecnn compare` and the profile's figures can be trusted, on a quiet machine.

    python benchmarks/compare.py [--tries 10] [--runtime litert] [--only same|slower|loadgen]

- same: the same bundle profiled twice: no try may flag a regression;
- slower: a bundle at least 15% slower (ResNet-18 with larger pictures): every try must flag it;
- loadgen: our p90 against MLPerf's LoadGen over the same session: within 3%.

A profile that other programs disturbed says so itself and proves nothing; it is printed and taken
again. Exit code 1 where a claim does not hold, 2 where the machine stayed busy. Bundles are
exported to .cache/bench once. Memory needs no quiet machine:
`pytest tests/comparison/test_real_bundles.py`.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import edgecnn
from edgecnn.comparison import Comparison, compare
from edgecnn.preprocessing import Preprocessing
from edgecnn.targets.profiling.profile import Distribution, Profile, ProfileRun

BUNDLES = Path(__file__).parents[1] / ".cache" / "bench"
SIDE, LARGER = 224, 240
SLOWER = 1.15
AGREEMENT = 0.03
ATTEMPTS = 5


class Busy(Exception):
    """Times were measured while others worked."""


def bundle(side: int) -> Path:
    """ResNet-18 in int8 for pictures of that side."""
    path = BUNDLES / f"resnet18-{side}"
    if not (path / "manifest.json").exists():
        model = edgecnn.build("resnet18", input_shape=(side, side, 3))
        edgecnn.export(model, preprocessing=Preprocessing(side, side), out=path)
    return path


def profiled(path: Path, runtime: str, **options: Any) -> ProfileRun:
    """One valid run; raises `Busy` where none of `ATTEMPTS` was."""
    for _ in range(ATTEMPTS):
        found: Profile = edgecnn.profile(path, runtimes=(runtime,), **options)
        (run,) = found.runs
        if run.valid:
            return run
        print(f"  taken again: {'; '.join(run.invalid_reasons)}", flush=True)
    raise Busy("; ".join(run.invalid_reasons))


def compared(old: ProfileRun, new: ProfileRun, folder: Path) -> Comparison:
    """As the command compares two files."""
    files = folder / "old.json", folder / "new.json"
    for path, run in zip(files, (old, new), strict=True):
        path.write_text(json.dumps({"board": "here", "cpu": "here", "runs": [run.to_json()]}))
    return compare(*files)


def same(tries: int, runtime: str, folder: Path) -> bool:
    """Two profiles of one bundle."""
    flagged = []
    for number in range(tries):
        old, new = (profiled(bundle(SIDE), runtime) for _ in range(2))
        found = compared(old, new, folder)
        flagged.append(len(found.regressions))
        changes = ", ".join(f"{f.name} {f.change:+.1%}" for f in found.figures[:2])
        print(f"same {number + 1}: {changes}: {len(found.regressions)} regressions", flush=True)
    print(f"same bundle: flagged in {sum(map(bool, flagged))} of {tries} tries")
    return not any(flagged)


def slower(tries: int, runtime: str, folder: Path) -> bool:
    """A bundle against one that takes longer."""
    caught = 0
    for number in range(tries):
        old, new = (profiled(bundle(side), runtime) for side in (SIDE, LARGER))
        ratio = new.latency_ms.p50 / old.latency_ms.p50
        if ratio < SLOWER:
            print(f"slower {number + 1}: only {ratio - 1:+.1%} slower here: take a larger picture")
            return False
        names = {figure.name for figure in compared(old, new, folder).regressions}
        caught += "latency p50" in names
        print(
            f"slower {number + 1}: {ratio - 1:+.1%}: flagged {', '.join(sorted(names))}", flush=True
        )
    print(f"slower bundle: flagged in {caught} of {tries} tries")
    return caught == tries


def loadgen(tries: int, runtime: str, folder: Path) -> bool:
    """Our p90 and LoadGen's, one after the other in one process."""
    differences = []
    for number in range(tries):
        run = profiled(
            bundle(SIDE), runtime, processes=1, seconds=3, loadgen=folder / f"log{number}"
        )
        assert run.loadgen is not None
        ours, theirs = Distribution.of(run.samples_ms).p90, run.loadgen.p90_ms
        differences.append(ours / theirs - 1)
        print(f"loadgen {number + 1}: ours {ours:.3f} ms, theirs {theirs:.3f} ms", flush=True)
    middle = statistics.median(differences)
    worst = max(differences, key=abs)
    print(f"p90 against LoadGen's: median {middle:+.1%}, worst {worst:+.1%} of {tries} tries")
    return abs(middle) <= AGREEMENT


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=10)
    parser.add_argument("--runtime", default="litert", help="litert, onnxruntime or openvino")
    parser.add_argument("--only", choices=("same", "slower", "loadgen"))
    given = parser.parse_args()
    parts = {"same": same, "slower": slower, "loadgen": loadgen}
    held = []
    with tempfile.TemporaryDirectory() as folder:
        for name, part in parts.items():
            if given.only in (None, name):
                try:
                    held.append(part(given.tries, given.runtime, Path(folder)))
                except Busy as busy:
                    print(f"{name}: not measured, the machine is not quiet: {busy}")
                    return 2
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
