"""What quantisation decides, as data: the writers read this and decide nothing.

Activations are asymmetric per tensor, given in the uint8 domain (TFLite's int8 is the same value
minus 128). Weights are symmetric int8 per output channel; biases are int32 at the scale of the
product of input and weight.
"""

from dataclasses import dataclass, field

import numpy as np

from edgecnn.graph import Array, Graph, Operator

NOTHING = 1e-30
"""A tensor whose whole range is narrower is always zero."""


def largest_weight(bits: int) -> int:
    """Of symmetric integers, which leave out the one without a counterpart."""
    return (1 << bits - 1) - 1


@dataclass(frozen=True)
class Scale:
    """real = scale · (q - zero_point), q in 0 to 255."""

    scale: float
    zero_point: int

    @classmethod
    def of_range(cls, low: float, high: float) -> "Scale":
        """The scale that covers a range; zero is always exactly representable."""
        low, high = min(low, 0.0), max(high, 0.0)
        if high - low < NOTHING:
            return cls(1 / 255, 0)
        scale = float(np.float32((high - low) / 255))
        return cls(scale, int(np.clip(round(-low / scale), 0, 255)))

    @classmethod
    def symmetric(cls, low: float, high: float) -> "Scale":
        """The scale that covers a range evenly on both sides of zero, with 127 steps each."""
        bound = max(-low, high)
        return cls(float(np.float32(bound / 127)) if bound > NOTHING else 1 / 127, 128)

    @property
    def low(self) -> float:
        """Smallest value that can be held."""
        return -self.zero_point * self.scale

    @property
    def high(self) -> float:
        """Largest value that can be held."""
        return (255 - self.zero_point) * self.scale

    def left_of(self, activation: str | None) -> str | None:
        """What of `relu` or `relu6` clamping to this range leaves to be done; None: nothing."""
        if activation == "relu6" and self.high <= 6 * (1 + 1e-6):
            activation = "relu"
        return None if activation == "relu" and self.zero_point == 0 else activation


@dataclass(frozen=True)
class IntWeights:
    """Integer weights of one operator, in the Keras layout."""

    kernel: Array
    """int8, -127 to 127."""
    bias: Array
    """int32 (out)."""
    scales: Array
    """float32 (out): of the kernel."""

    def real_kernel(self) -> Array:
        """The kernel that the integers stand for, float32."""
        flat = self.kernel.reshape(-1, self.scales.size) * self.scales
        return flat.reshape(self.kernel.shape)


@dataclass
class Quantised:
    """A graph with a scale for every tensor that is held as integers.

    An operator in `float_operators` computes in float; its result may still be held as integers
    for those that read it.
    """

    graph: Graph
    scales: dict[str, Scale] = field(default_factory=dict)
    weights: dict[str, IntWeights] = field(default_factory=dict)
    float_operators: frozenset[str] = frozenset()
    symmetric: bool = False
    """Whether all activations are at `Scale.symmetric`, the picture itself aside."""

    def runs_in_int8(self, op: Operator) -> bool:
        """Whether the operator computes in integers."""
        return (
            op.name not in self.float_operators
            and op.name in self.scales
            and all(name in self.scales for name in op.inputs)
        )
