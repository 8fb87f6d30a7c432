"""Collects the operators of a graph that is being made from Keras layers."""

from typing import Any

import numpy as np

from edgecnn.errors import ExportError
from edgecnn.graph import ACTIVATIONS, Array, Operator, Shape


class Builder:
    """Collects operators under names that are unique."""

    def __init__(self, values: bool) -> None:
        self.operators: list[Operator] = []
        self._values = values
        self._taken: set[str] = set()

    def emit(
        self,
        op: str,
        inputs: list[str],
        shape: Shape,
        *,
        name: str,
        weights: dict[str, Array] | None = None,
        **attributes: Any,
    ) -> str:
        """Append an operator; returns the name it got."""
        unique, count = name, 1
        while unique in self._taken:
            count += 1
            unique = f"{name}_{count}"
        self._taken.add(unique)
        self.operators.append(Operator(unique, op, inputs, shape, attributes, weights or {}))
        return unique

    def value(self, variable: Any) -> Array:
        """A variable's value, or its stand-in."""
        if self._values:
            # A view of the tensor: of the variable itself it would be a copy.
            return np.asarray(variable.value.read_value(), np.float32)
        return np.broadcast_to(np.float32(0), tuple(variable.shape))

    def activate(self, x: str, shape: Shape, function: Any) -> str:
        """Append a layer's `activation=` argument."""
        kind = getattr(function, "__name__", str(function))
        kind = {"hard_silu": "hard_swish", "silu": "swish"}.get(kind, kind)
        name = f"{x}_{kind}"
        if kind == "linear":
            return x
        if kind == "softmax":
            return self.emit("softmax", [x], shape, name=name)
        if kind == "swish":
            gate = self.emit("activation", [x], shape, name=f"{x}_sigmoid", kind="sigmoid")
            return self.emit("multiply", [x, gate], shape, name=name)
        if kind not in ACTIVATIONS:
            raise ExportError(
                f"The activation '{kind}' at {x} is not among those export knows "
                f"({', '.join(ACTIVATIONS)}, swish, softmax)."
            )
        extra: dict[str, Any] = {"slope": 0.2} if kind == "leaky_relu" else {}
        return self.emit("activation", [x], shape, name=name, kind=kind, **extra)
