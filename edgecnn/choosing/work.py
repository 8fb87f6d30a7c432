"""What a network asks of a processor: its operators' work, summed up by class.

An engine's time for a network is close to a sum over these: multiply-accumulates take as long as
the kernels of their class need for one, bytes as long as the memory needs, and every operator
has a price of its own (see `edgecnn.choosing.rates`).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.memory import ELEMENT_BYTES
from edgecnn.targets.engines.memory_model import NO_OPERATORS

Floats = NDArray[np.float64]

ROUGHLY = {
    "pointwise": 1.0,
    "convolution": 1.0,
    "stem": 3.0,
    "grouped": 3.0,
    "depthwise": 5.0,
    "dense": 5.0,
    "weights": 2.0,
    "moved": 5.0,
    "elementwise": 10.0,
    "sigmoid": 30.0,
    "hard": 30.0,
    "lrn": 300.0,
    "function": 30.0,
    "concat": 5.0,
    "max_pool": 10.0,
    "avg_pool": 10.0,
    "operators": 2.0,
}
"""The classes, and how a million multiply-accumulates, a million bytes or elements and a thousand
operators of each compare in time, as far as is known before anything was measured.

| class | counted in |
|---|---|
| `pointwise` | MACs of 1×1 convolutions |
| `convolution` | MACs of larger ones |
| `stem` | MACs of convolutions of at most `FEW` channels, which fill no vector |
| `grouped` | MACs of convolutions in groups |
| `depthwise` | MACs of convolutions of each channel by itself |
| `dense` | bytes of dense layers' weights: each is read for one multiplication |
| `weights` | bytes of convolutions' weights |
| `moved` | bytes that operators read and write of activations |
| `elementwise` | elements of sums, products and rectifiers that no convolution applies itself |
| `sigmoid` | elements of sigmoids, for which engines have a table or a kernel |
| `hard` | elements of hard swishes and hard sigmoids, for which some have neither |
| `lrn` | elements of local response normalisation, which has a power for each |
| `function` | elements of softmax and other functions |
| `concat` | elements that are joined |
| `max_pool`, `avg_pool` | elements that pools read |
| `operators` | operators, in thousands |
"""
CLASSES = tuple(ROUGHLY)
FEW = 4
OWN = {
    **dict.fromkeys(("add", "subtract", "multiply", "divide", "maximum", "minimum"), "elementwise"),
    **dict.fromkeys(("affine", "relu", "relu6", "leaky_relu"), "elementwise"),
    **dict.fromkeys(("hard_swish", "hard_sigmoid"), "hard"),
    **{name: name for name in ("sigmoid", "lrn", "concat")},
}
"""Classes of operators that are counted by what they write; the others are functions."""
READ = {
    **dict.fromkeys(("max_pool", "global_max_pool", "max"), "max_pool"),
    **dict.fromkeys(("avg_pool", "global_avg_pool", "mean"), "avg_pool"),
}
"""Of those that are counted by what they read."""
MOVES = ("slice", "gather", "transpose", "pad", "requantise")
"""Operators whose work is in `moved` alone."""


def work_of(analysis: Mapping[str, Any]) -> Floats:
    """The work `(classes,)` of a RAM analysis (its JSON, with `input_bytes`), in that order."""
    found = dict.fromkeys(CLASSES, 0.0)
    width = ELEMENT_BYTES[analysis["dtype"]]
    for layer in analysis["layers"]:
        kind = layer["type"].partition("+")[0]
        if kind in NO_OPERATORS:
            continue
        found["operators"] += 1e3
        found["moved"] += layer["input_bytes"] + layer["output_bytes"]
        if kind == "dense":
            found["dense"] += layer["parameters"] * width
        elif kind == "depthwise":
            found["depthwise"] += layer["macs"]
        elif kind == "conv":
            found[_convolution(layer, width)] += layer["macs"]
            found["weights"] += layer["parameters"] * width
        elif kind in READ:
            found[READ[kind]] += layer["input_bytes"] / width
        elif kind not in MOVES:
            found[OWN.get(kind, "function")] += layer["output_bytes"] / width
    return np.array([found[name] for name in CLASSES]) / 1e6


def _convolution(layer: Mapping[str, Any], width: int) -> str:
    height, across = layer["kernel"]
    rows, columns, channels = layer["output_shape"]
    each = layer["macs"] / (rows * columns * channels * height * across)  # channels a sum is over
    if each <= FEW:
        return "stem"
    if layer["parameters"] < 0.5 * channels * height * across * _channels_read(layer, width):
        return "grouped"
    return "pointwise" if height * across == 1 else "convolution"


def _channels_read(layer: Mapping[str, Any], width: int) -> float:
    """How many channels its input has, at least: it is as large as its output times the strides."""
    rows, columns, _ = layer["output_shape"]
    down, across = layer["strides"]
    return float(layer["input_bytes"] / width / (rows * down * columns * across))
