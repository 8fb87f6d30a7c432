"""Computes what each architecture costs, and keeps it in `figures.json`.

python -m edgecnn.zoo.figures            # all
python -m edgecnn.zoo.figures resnet50
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from edgecnn import zoo
from edgecnn.weightless import weightless
from edgecnn.zoo.registry import FIGURES, Figures


def figures_of(name: str) -> Figures:
    """The figures of a network at its default input, computed from the network itself."""
    from edgecnn.analysis import analyze_model
    from edgecnn.export.lowering import lower

    with weightless():
        model = zoo.build(name)
        int8 = analyze_model(model, dtype="int8")
        float32 = analyze_model(model, dtype="fp32")
        network = lower(model, values=False)  # before folding, as publications count
    return Figures(
        parameters=model.count_params(),
        trainable_parameters=int8.trainable_parameters,
        macs=sum(network.macs(operator) for operator in network),
        peak_int8_bytes=int8.liveness_peak_bytes,
        peak_float32_bytes=float32.liveness_peak_bytes,
    )


def main(names: list[str]) -> None:
    """Compute and keep the figures of those networks, or of all; those of no network go."""
    path = Path(__file__).with_name(FIGURES)
    found = json.loads(path.read_text("utf-8"))
    for name in names or zoo.names():
        found[name] = asdict(figures_of(name))
        print(name, found[name])
    lines = [
        f" {json.dumps(name)}: {json.dumps(found[name])}" for name in zoo.names() if name in found
    ]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
