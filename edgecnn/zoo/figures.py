"""Computes the figures that stand beside each architecture.

python -m edgecnn.zoo.figures            # all, as they stand in the code
python -m edgecnn.zoo.figures resnet50
"""

import sys

from edgecnn import zoo
from edgecnn.zoo.registry import Figures


def figures_of(name: str) -> Figures:
    """The figures of a network at its default input, computed from the network itself."""
    import keras

    from edgecnn.analysis import analyze_model
    from edgecnn.export.lowering import lower

    # Shapes are enough: in this scope variables get no values, which would take most of the time.
    with keras.StatelessScope(initialize_variables=False):
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
    """Print the figures of those networks, or of all, as code."""
    for name in names or zoo.names():
        figures = figures_of(name)
        values = ", ".join(f"{value:_}" for value in vars(figures).values())
        mark = "" if figures == zoo.get(name).figures else "   # differs"
        print(f"{name}: Figures({values}){mark}")


if __name__ == "__main__":
    main(sys.argv[1:])
