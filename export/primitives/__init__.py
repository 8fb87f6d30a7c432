"""TensorFlow's primitives as operators of a `Graph`: what opened layers are made of.

A rule takes the builder, the primitive, and its inputs, each the name of a tensor or a constant.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgecnn.errors import ExportError
from edgecnn.export.builder import Builder, Tensor
from edgecnn.export.opening import CALLS, CHOICES, Opened, opened, opened_function
from edgecnn.export.primitives import arithmetic, movement, resizing, weights
from edgecnn.export.primitives.rule import RULES

FAMILIES = (arithmetic, movement, resizing, weights)
"""Modules that register their rules when they are imported."""

SAME = (
    "Identity",
    "IdentityN",
    "StopGradient",
    "PreventGradient",
    "Snapshot",
    "CheckNumerics",
    "EnsureShape",
    "PlaceholderWithDefault",
)
STEP_BY_STEP = ("TensorList", "While", "StatelessWhile")
"""Beginnings of what recurrent layers and loops are traced into."""


def lower_opened(
    builder: Builder,
    call: Callable[..., Any],
    inputs: Sequence[str],
    name: str,
    what: str,
    types: Sequence[str] | None = None,
) -> list[Tensor]:
    """Trace a call and lower what it is made of; its results.

    `types` are those of the inputs for TensorFlow, float32 unless given; `what` says in errors
    what was called. Raises `ExportError` for a primitive without a rule.
    """
    types = types or ["float32"] * len(inputs)
    found = opened(call, [builder.shape(x) for x in inputs], types, what)
    return _lower_primitives(builder, found, inputs, name, what)


def _lower_primitives(
    builder: Builder, found: Opened, inputs: Sequence[Tensor], name: str, what: str
) -> list[Tensor]:
    values: dict[str, Tensor] = dict(zip(found.inputs, inputs, strict=True))
    values |= found.constants
    for primitive in found.primitives:
        arguments = [values[tensor.name] for tensor in primitive.inputs]
        step = f"{name}.{primitive.name.rpartition('/')[2]}"
        if primitive.type in SAME:
            results: Tensor | list[Tensor] = arguments
        elif primitive.type in CALLS | CHOICES:
            shapes = [builder.shape(x) for x in arguments]
            inner, given = opened_function(primitive, arguments, shapes, what)
            results = _lower_primitives(builder, inner, given, step, what)
        else:
            rule = RULES.get(primitive.type)
            if rule is None:
                way_out = (
                    "it runs step by step, which unroll=True spells out, for few steps."
                    if primitive.type.startswith(STEP_BY_STEP)
                    else "express it by other operations, or leave it out of what runs on a board."
                )
                raise ExportError(
                    f"Export has no rule for {primitive.type}, which {what} computes with: "
                    f"{way_out}"
                )
            results = rule(builder, primitive, arguments, step)
        if isinstance(results, str | np.ndarray):
            results = [results]
        values |= {
            tensor.name: value for tensor, value in zip(primitive.outputs, results, strict=False)
        }
    return [values[output] for output in found.outputs]


def known_primitives() -> list[str]:
    """TensorFlow's names of the primitives that opened layers may be made of."""
    return sorted({*RULES, *SAME})
