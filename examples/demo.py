"""The whole pipeline on real photographs: `make demo`.

Each step is a command a user would type; it is shown, then run. At the end a few answers are
checked, so that a demo that went wrong says so.
"""

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

import sklearn

ARCHITECTURE = "efficientnet_lite0"
AT_LEAST_RIGHT = 17
OUT = Path("demo")


def edgecnn(*arguments: str | Path, out: str | None = None) -> None:
    """Show an edgecnn command and run it; with `out` its output goes to that file of the demo."""
    shown = shlex.join(["edgecnn", *map(str, arguments)])
    shown += f" > {shlex.quote(str(OUT / out))}" if out else ""
    print(f"\n\033[1m$ {shown}\033[0m", flush=True)
    command = [sys.executable, "-m", "edgecnn", *map(str, arguments)]
    if out is None:
        subprocess.run(command, check=True)
    else:
        with (OUT / out).open("w") as stream:
            subprocess.run(command, check=True, stdout=stream)


def main(samples: Path) -> None:
    """Run the demo with the pictures that examples/samples.py fetched."""
    start = time.monotonic()
    OUT.mkdir(exist_ok=True)
    bundle = OUT / f"{ARCHITECTURE}-int8"
    two_pictures = Path(sklearn.__file__).parent / "datasets" / "images"
    labels = samples / "photographs" / "labels.csv"

    edgecnn("targets")
    edgecnn("analyze", ARCHITECTURE, "--json", out="analysis.json")
    edgecnn("export", ARCHITECTURE, "--int8", "--out", bundle)
    edgecnn("run", bundle, "--source", two_pictures)
    edgecnn("run", bundle, "--source", two_pictures, "--jsonl", OUT / "predictions.jsonl")
    edgecnn("evaluate", bundle, "--data", labels)
    edgecnn("evaluate", bundle, "--data", labels, "--json", out="accuracy.json")
    edgecnn("profile", bundle)
    edgecnn("profile", bundle, "--json", out="profile.json")

    check()
    print(f"\nWritten in {time.monotonic() - start:.0f} s:")
    for path in sorted(p for p in OUT.rglob("*") if p.is_file()):
        print(f"  {path}  {path.stat().st_size:,} bytes")


def check() -> None:
    """What must be right."""
    lines = (OUT / "predictions.jsonl").read_text().splitlines()
    first = json.loads(lines[0])  # china.jpg
    assert first["label"] == "palace", first
    accuracy = json.loads((OUT / "accuracy.json").read_text())
    for name, found in accuracy["artifacts"].items():
        right = round(found["top1"] * accuracy["count"])
        print(f"{name}: {right} of {accuracy['count']} ImageNet photographs right")
        assert right >= AT_LEAST_RIGHT, (name, right)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
