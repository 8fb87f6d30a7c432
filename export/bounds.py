"""Between which values a tensor lies, whatever the picture shows: interval arithmetic.

It errs on the wide side only: operands are taken as if they had nothing to do with each other.
"""

from collections.abc import Callable

import numpy as np

from edgecnn.graph import Graph, Operator
from edgecnn.operators import FUNCTIONS, kind_of

Bounds = tuple[float, float]
ANY: Bounds = (-np.inf, np.inf)

RISING: dict[str, Callable[[float], float]] = {
    "relu": lambda x: max(x, 0.0),
    "relu6": lambda x: min(max(x, 0.0), 6.0),
    "tanh": np.tanh,
    "exp": np.exp,
    "log": lambda x: np.log(x) if x > 0 else -np.inf,
    "sqrt": lambda x: np.sqrt(max(x, 0.0)),
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.round,
}
"""Functions whose value grows with their argument, so that they can be asked at both ends."""
AVERAGING = ("avg_pool", "global_avg_pool", "resize")
"""Operators that give means of what comes in."""


def bounds(graph: Graph, name: str) -> Bounds:
    """The least and the largest that a tensor can hold; infinite where nothing limits it."""
    found: dict[str, Bounds] = {}
    for op in graph:
        with np.errstate(over="ignore"):
            found[op.name] = _bounds(op, [found[x] for x in op.inputs])
        if op.name == name:
            break
    return found[name]


def _bounds(op: Operator, inputs: list[Bounds]) -> Bounds:
    low, high = _of_operator(op, inputs)
    if op.fused:
        low, high = _of_function(op.fused, (low, high))
    return low, high


def _of_operator(op: Operator, inputs: list[Bounds]) -> Bounds:
    match op.op:
        case "softmax":
            return 0.0, 1.0
        case "activation":
            return _of_function(op.attributes["kind"], inputs[0])
        case "affine":
            scaled = _products(inputs[0], _of_constant(op.weights["scale"]))
            return _sum(scaled, _of_constant(op.weights["shift"]))
        case "add" | "subtract" | "multiply" | "divide" | "maximum" | "minimum":
            return _of_two(op, inputs)
        case "select":
            sources = [_of_constant(op.weights[k]) for k in ("then", "other") if k in op.weights]
            return _union([*sources, *inputs[1:]])
        case "pad":
            return _union([inputs[0], (0.0, 0.0)])
        case "reduce" if op.attributes["kind"] == "prod" and _within(inputs[0], 0, 1):
            return 0.0, 1.0
        case "reduce" if op.attributes["kind"] == "mean":
            return inputs[0]
    if op.op in AVERAGING or (op.op != "requantise" and kind_of(op).moves):
        return _union(inputs)
    return ANY


def _of_two(op: Operator, inputs: list[Bounds]) -> Bounds:
    a, b = inputs if len(inputs) == 2 else (inputs[0], _of_constant(op.weights["operand"]))
    if op.attributes.get("first"):
        a, b = b, a
    match op.op:
        case "add":
            return _sum(a, b)
        case "subtract":
            return _sum(a, (-b[1], -b[0]))
        case "multiply":
            return _products(a, b)
        case "maximum":
            return max(a[0], b[0]), max(a[1], b[1])
        case "minimum":
            return min(a[0], b[0]), min(a[1], b[1])
    if b[0] < 0 < b[1] or 0 in b:
        return ANY
    return _products(a, (1 / b[1], 1 / b[0]))


def _of_function(kind: str, x: Bounds) -> Bounds:
    if kind in RISING:
        return float(RISING[kind](x[0])), float(RISING[kind](x[1]))
    function = FUNCTIONS[kind]
    low = -np.inf if function.low is None else function.low
    return low, np.inf if function.high is None else function.high


def _of_constant(values: object) -> Bounds:
    array = np.asarray(values, np.float64)
    return float(array.min()), float(array.max())


def _sum(a: Bounds, b: Bounds) -> Bounds:
    return a[0] + b[0], a[1] + b[1]


def _products(a: Bounds, b: Bounds) -> Bounds:
    # Nothing times anything is nothing, without bounds too.
    ends = [0.0 if 0 in (x, y) else x * y for x in a for y in b]
    return min(ends), max(ends)


def _union(parts: list[Bounds]) -> Bounds:
    return min(low for low, _ in parts), max(high for _, high in parts)


def _within(x: Bounds, low: float, high: float) -> bool:
    return low <= x[0] and x[1] <= high
