"""The common description of a model file."""

from dataclasses import dataclass
from typing import Literal

from edgecnn.memory import Lifetime

Dtype = Literal["int8", "fp16", "fp32"]


TYPES = {
    "CONV_2D": "conv",
    "Conv": "conv",
    "Convolution": "conv",
    "DEPTHWISE_CONV_2D": "depthwise",
    "GroupConvolution": "depthwise",
    "FULLY_CONNECTED": "dense",
    "Gemm": "dense",
    "MatMul": "dense",
    "RESHAPE": "reshape",
}
"""What the formats call the operators that `edgecnn.graph` has a word for, where weights matter."""


@dataclass(frozen=True)
class Step:
    """One operator in the order of execution; the first step is the input."""

    name: str
    type: str
    shape: tuple[int, ...]
    """Of the output, with the batch in front, as the format lays it out."""
    output_bytes: int
    parameters: int = 0
    macs: int = 0
    kernel: tuple[int, int] | None = None
    strides: tuple[int, int] | None = None


@dataclass(frozen=True)
class Description:
    """A model file without the values of its weights."""

    dtype: Dtype
    """Of the weights."""
    weights_bytes: int
    """As stored, with scales."""
    steps: tuple[Step, ...]
    blocks: tuple[Lifetime, ...]
    """Memory of the activations; `first` and `last` count in steps."""
    arena_bytes: int
    """What a planner makes of the blocks and of the operators' scratch."""
