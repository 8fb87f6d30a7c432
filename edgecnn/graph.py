"""A network as plain data: operators in the order they run, and what flows between them.

Everything after Keras works on this: folding, quantising, the three writers and the RAM
analysis. One operator has one output tensor, which carries the operator's name. Shapes are
NHWC with the batch in front; weights are laid out as in Keras.

| op | inputs | weights | attributes |
|---|---|---|---|
| `input` | | | after folding `scale`, `zero_point`: real = scale · (pixel - zero_point) |
| `conv` | 1 | `kernel` (kh, kw, in/groups, out), `bias` (out) | as `depthwise`, `groups` |
| `depthwise` | 1 | `kernel` (kh, kw, in, multiplier), `bias` | `strides`, `pads`, `dilation` |
| `dense` | 1 | `kernel` (in, out), `bias` (out) | |
| `affine` | 1 | `scale` (channels), `shift` (channels) | |
| `max_pool`, `avg_pool` | 1 | | `size`, `strides`, `pads` |
| `global_avg_pool`, `global_max_pool` | 1 | | `keepdims` |
| `add`, `subtract`, `multiply`, `divide` | 2, or 1 | of 1: `operand` | of 1: `first`, see below |
| `maximum`, `minimum`, `power` | as `add` | as `add` | as `add` |
| `compare` | as `add` | as `add` | as `add`, `kind`: see `COMPARISONS`; gives booleans |
| `select` | condition, and those of then and other that flow | `then`, `other` | |
| `matmul` | 2 | | (of the last two axes) |
| `reduce` | 1 | | `kind`: see `REDUCTIONS`; `axes`, which stay with length 1 |
| `concat` | n | | `axis` |
| `slice` | 1 | | `begin`, `end`, `strides`, all positive, one for each axis |
| `gather` | 1 | | `axis`, `indices`: what is taken along it, in this order |
| `transpose` | 1 | | `perm` |
| `pad` | 1 | | `pads` of the two middle axes; zeros |
| `reshape` | 1 | | |
| `resize` | 1 | | `half_pixel`, `align_corners`: bilinear, rows and columns |
| `depth_to_space`, `space_to_depth` | 1 | | `size` |
| `lrn` | 1 | | `size`, `alpha`, `beta`, `k` |
| `depth_pool` | 1 | | `size` |
| `activation` | 1 | | `kind`: see `edgecnn.operators.FUNCTIONS` |
| `softmax` | 1 | | (along the last axis) |
| `requantise` | 1 | | (only in a quantised graph: the same values at another scale) |

`pads` is `(top, bottom, left, right)`, resolved from `same` when the graph was made; a pool's
padding never wins a maximum and is not counted in an average. `first` says that a constant operand
stands in front of what flows, as in 1 - x. `fused` names an activation that
the operator applies to its own result. Operands have as many axes as the result, and are stretched
along those of length 1. What is true of an operator stands in `edgecnn.operators`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Shape = tuple[int, ...]

COMPARISONS = ("greater", "greater_equal", "less", "less_equal", "equal", "not_equal")
REDUCTIONS = ("mean", "sum", "max", "min", "prod")


@dataclass
class Operator:
    """One step of the network; its output tensor has its name."""

    name: str
    op: str
    inputs: list[str]
    shape: Shape
    attributes: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, Array] = field(default_factory=dict)
    fused: str | None = None

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(w.size for w in self.weights.values())

    @property
    def elements(self) -> int:
        """Number of values in the output."""
        return int(np.prod(self.shape))


@dataclass
class Graph:
    """Operators in execution order; the first is the input, `output` names the last tensor."""

    operators: list[Operator]
    output: str
    name: str = "network"
    features: str | None = None
    """The tensor that is given beside the output, `(1, features)`, where one was asked for."""

    def __iter__(self) -> Iterator[Operator]:
        return iter(self.operators)

    def __getitem__(self, name: str) -> Operator:
        return self.by_name[name]

    @property
    def by_name(self) -> dict[str, Operator]:
        """Operators by name; made anew at each call, since passes change the list."""
        return {op.name: op for op in self.operators}

    @property
    def input(self) -> Operator:
        """The picture."""
        return self.operators[0]

    def consumers(self) -> dict[str, list[Operator]]:
        """For every tensor, the operators that read it."""
        found: dict[str, list[Operator]] = {op.name: [] for op in self.operators}
        for op in self.operators:
            for name in op.inputs:
                found[name].append(op)
        return found

    def macs(self, op: Operator) -> int:
        """Multiply-accumulates of a convolution or dense operator, else 0."""
        if op.op == "dense":
            return int(op.weights["kernel"].size)
        if op.op == "conv":
            kh, kw, per_group, _ = op.weights["kernel"].shape
            return int(op.elements * kh * kw * per_group)
        if op.op == "depthwise":
            kh, kw = op.weights["kernel"].shape[:2]
            return int(op.elements * kh * kw)
        return 0

    def copy(self) -> Self:
        """A graph whose operators can be changed; weights are shared until replaced."""
        operators = [
            replace(
                op,
                inputs=list(op.inputs),
                attributes=dict(op.attributes),
                weights=dict(op.weights),
            )
            for op in self.operators
        ]
        return replace(self, operators=operators)
