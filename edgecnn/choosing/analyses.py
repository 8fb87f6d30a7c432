"""The RAM analyses of the zoo at usual inputs, so that choosing among them builds no network.

python -m edgecnn.choosing.analyses            # all, minutes
python -m edgecnn.choosing.analyses resnet50
"""

import functools
import gzip
import json
import sys
from importlib import resources
from pathlib import Path
from typing import Any

from edgecnn import zoo
from edgecnn.weightless import weightless

FILE = "analyses.json.gz"
SIDES = (96, 128, 160, 192, 224)
PRECISIONS = ("int8", "fp32")
KEPT = ("type", "output_shape", "parameters", "macs", "output_bytes", "kernel", "strides")
"""Of a layer; its name and what is alive meanwhile are for people."""

Analysis = dict[str, Any]


def sides(name: str) -> tuple[int, ...]:
    """The inputs at which a network is a candidate: its own, and smaller ones that it takes."""
    entry = zoo.get(name)
    own = entry.input_shape[0]
    return (*(side for side in SIDES if entry.minimum_side <= side < own), own)


def known(name: str, side: int, precision: str) -> Analysis:
    """The analysis, as `RamAnalysis.to_json` gives it but for what `KEPT` leaves out.

    Raises `KeyError` for one that is not in the file.
    """
    found: Analysis = _all()[f"{name} {side} {precision}"]
    names = (*KEPT, "input_bytes")
    return found | {"layers": [dict(zip(names, x, strict=True)) for x in found["layers"]]}


@functools.cache
def _all() -> dict[str, Analysis]:
    packed = (resources.files("edgecnn.choosing") / FILE).read_bytes()
    found: dict[str, Analysis] = json.loads(gzip.decompress(packed))
    return found


def computed(name: str, side: int) -> dict[str, Analysis]:
    """By precision, from the network itself."""
    from edgecnn.analysis import analyze_graph
    from edgecnn.export.folding import fold
    from edgecnn.export.lowering import lower

    with weightless():
        model = zoo.build(name, (side, side, zoo.get(name).input_shape[2]))
        trained = lower(model, values=False)
    deployed = fold(trained)
    found = {}
    for precision in PRECISIONS:
        whole = analyze_graph(
            deployed,
            trained,
            architecture=name,
            parameters=model.count_params(),
            trainable_parameters=0,
            dtype=precision,  # type: ignore[arg-type]
        ).to_json()
        layers = [[layer[key] for key in (*KEPT, "input_bytes")] for layer in whole["layers"]]
        part = {key: whole[key] for key in ("dtype", "macs", "weights_bytes", "arena_bytes")}
        found[precision] = part | {"layers": layers}
    return found


def main(names: list[str]) -> None:
    """Compute and keep the analyses of those networks, or of all."""
    path = Path(__file__).with_name(FILE)
    found = json.loads(gzip.decompress(path.read_bytes())) if path.exists() else {}
    for name in names or zoo.names():
        for side in sides(name):
            for precision, analysis in computed(name, side).items():
                found[f"{name} {side} {precision}"] = analysis
        print(name, flush=True)
        text = json.dumps(found, separators=(",", ":"), sort_keys=True)
        path.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main(sys.argv[1:])
