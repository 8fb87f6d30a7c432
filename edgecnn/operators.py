"""What is true of each operator: the one table that quantiser, equaliser, folding and writers read.

An operator of `edgecnn.graph` is a line here, with how each format spells it in the three
writers; an activation's `kind` is a line of `FUNCTIONS`. The tests of every operator in every
engine, in float and int8, run over these tables.
"""

from dataclasses import dataclass, replace
from typing import Literal

from edgecnn.graph import Operator


@dataclass(frozen=True)
class Kind:
    """What is true of an operator."""

    int8: bool = True
    """Whether every engine computes it in integers well; else it runs in float, between
    (de)quantisers."""
    scale: Literal["own", "kept", "shared"] = "own"
    """Of its result: one of its own; its input's, which the engines' kernels cannot change; or
    one that all inputs and the result share."""
    weighted: bool = False
    """Whether it has a kernel and a bias, which become integers."""
    channel_wise: bool = False
    """Whether each channel of the result depends, linearly or by order, on that channel alone."""
    fuses: bool = False
    """Whether it can apply a ReLU or ReLU6 to its own result."""
    moves: bool = False
    """Whether it only moves values, or leaves some out."""
    type: Literal["real", "boolean"] = "real"


@dataclass(frozen=True)
class Function:
    """What is true of an activation's kind."""

    int8: bool = False
    fixed: tuple[float, int] | None = None
    """Scale and zero point (of uint8) that TFLite prescribes, or that the function's own range
    gives."""
    low: float | None = None
    high: float | None = None
    """Bounds of its results, where it has any."""
    fusible: bool = False
    """Whether operators that fuse activations can apply it."""


OPERATORS: dict[str, Kind] = {
    "input": Kind(),
    "conv": Kind(weighted=True, fuses=True),
    "depthwise": Kind(weighted=True, fuses=True),
    "dense": Kind(weighted=True, fuses=True),
    "affine": Kind(fuses=True),
    "max_pool": Kind(scale="kept", channel_wise=True, moves=True),
    "avg_pool": Kind(scale="kept", channel_wise=True),
    "global_avg_pool": Kind(channel_wise=True),
    "global_max_pool": Kind(scale="kept", channel_wise=True, moves=True),
    "add": Kind(channel_wise=True, fuses=True),
    "subtract": Kind(),
    "multiply": Kind(),
    "divide": Kind(int8=False),
    "maximum": Kind(scale="shared"),
    "minimum": Kind(scale="shared"),
    "power": Kind(int8=False),
    "compare": Kind(int8=False, type="boolean"),
    "select": Kind(int8=False),
    "matmul": Kind(int8=False),
    "reduce": Kind(int8=False),
    "concat": Kind(scale="shared", moves=True),
    "slice": Kind(scale="kept", moves=True),
    "gather": Kind(scale="kept", moves=True),
    "transpose": Kind(scale="kept", moves=True),
    "pad": Kind(scale="kept", moves=True),
    "reshape": Kind(scale="kept", moves=True),
    "resize": Kind(int8=False),
    "depth_to_space": Kind(scale="kept", moves=True),
    "space_to_depth": Kind(scale="kept", moves=True),
    "lrn": Kind(int8=False),
    "depth_pool": Kind(scale="kept", moves=True),
    "softmax": Kind(int8=False),
    "requantise": Kind(moves=True),
}

FUNCTIONS: dict[str, Function] = {
    "relu": Function(int8=True, low=0.0, fusible=True),
    "relu6": Function(int8=True, low=0.0, high=6.0, fusible=True),
    "leaky_relu": Function(int8=True),
    "tanh": Function(int8=True, fixed=(1 / 128, 128), low=-1.0, high=1.0),
    "sigmoid": Function(int8=True, fixed=(1 / 256, 0), low=0.0, high=1.0),
    "hard_sigmoid": Function(int8=True, fixed=(1 / 255, 0), low=0.0, high=1.0),
    "hard_swish": Function(int8=True),
    "elu": Function(int8=True),
    "gelu": Function(),
    "erf": Function(low=-1.0, high=1.0),
    "softplus": Function(low=0.0),
    "exp": Function(low=0.0),
    "log": Function(),
    "sqrt": Function(low=0.0),
    "rsqrt": Function(low=0.0),
    "square": Function(low=0.0),
    "abs": Function(low=0.0),
    "sign": Function(low=-1.0, high=1.0),
    "floor": Function(),
    "ceil": Function(),
    "round": Function(),
    "sin": Function(low=-1.0, high=1.0),
    "cos": Function(low=-1.0, high=1.0),
    "atan": Function(low=-1.5708, high=1.5708),
}
"""`leaky_relu` has the attribute `slope`; `gelu` is the exact one, with the error function."""

WEIGHTED = tuple(name for name, kind in OPERATORS.items() if kind.weighted)


def kind_of(op: Operator) -> Kind:
    """What is true of an operator; of an activation, what its function says."""
    if op.op == "activation":
        return Kind(int8=FUNCTIONS[op.attributes["kind"]].int8)
    kind = OPERATORS[op.op]
    if op.op == "reduce" and op.attributes["kind"] in ("max", "min"):
        # One of what comes in: OpenVINO 2026.4 errs where it rounds what it found in float.
        return replace(kind, int8=True, scale="kept", moves=True)
    if "operand" in op.weights:  # a constant has no scale
        return replace(kind, int8=False, channel_wise=False)
    return kind


def function_of(op: Operator) -> Function | None:
    """What is true of the function that an operator applies last: its own, or one it fused."""
    if op.fused:
        return FUNCTIONS[op.fused]
    return FUNCTIONS[op.attributes["kind"]] if op.op == "activation" else None
