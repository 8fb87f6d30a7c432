"""Opens what has no rule of its own: a layer or operation is traced into TensorFlow's primitives.

Called once on stand-ins of its inputs' shapes, in inference, a layer becomes a graph of a few dozen
kinds of primitive, for which `primitives.py` has the rules. So whatever a layer's author wrote, in
`keras.ops` or in TensorFlow, is exported as it computes. What depends on no picture is computed
here, by TensorFlow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecnn.errors import ExportError
from edgecnn.graph import Array, Shape

SHAPES_ONLY = frozenset({"Shape", "ShapeN", "Size", "Rank"})
"""Primitives that look at the shape of their input alone."""
DRAWN = ("Random", "Stateless", "Multinomial")


@dataclass(frozen=True)
class Opened:
    """A traced call: primitives in the order they run, without those of constants alone."""

    inputs: tuple[str, ...]
    """Names of the tensors that stand for the call's inputs."""
    outputs: tuple[str, ...]
    primitives: tuple[Any, ...]
    """TensorFlow's `Operation`."""
    constants: dict[str, Array]
    """By tensor name."""


def opened(call: Callable[..., Any], shapes: list[Shape], name: str) -> Opened:
    """Trace a call of float32 tensors; raises `ExportError` where that cannot be done."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (  # TensorFlow shows no other way
        convert_variables_to_constants_v2,
    )

    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    try:
        function = tf.function(call, autograph=False).get_concrete_function(*specs)
        frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
    except Exception as error:  # whatever the layer's own code raises
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ExportError(
            f"'{name}' cannot be opened for export, its own code fails when it is traced: {reason}"
        ) from error
    inputs = [tensor.name for tensor in frozen.inputs]
    outputs = [tensor.name for tensor in frozen.outputs]
    fixed: set[str] = set()
    flowing: list[Any] = []
    needed = set(outputs)
    for op in frozen.graph.get_operations():
        drawn = op.type.startswith(DRAWN)
        still = op.type in SHAPES_ONLY or all(tensor.name in fixed for tensor in op.inputs)
        if op.type != "Placeholder" and still and not drawn:
            fixed.update(tensor.name for tensor in op.outputs)
        elif op.type not in ("Placeholder", "NoOp"):
            flowing.append(op)
            needed.update(tensor.name for tensor in op.inputs)
    wanted = sorted(needed & fixed)
    constants: dict[str, Array] = {}
    if wanted:
        with tf.compat.v1.Session(graph=frozen.graph) as session:
            feed = {tensor.name: np.zeros(tensor.shape, np.float32) for tensor in frozen.inputs}
            constants = dict(zip(wanted, session.run(wanted, feed), strict=True))
    return Opened(tuple(inputs), tuple(outputs), tuple(flowing), constants)
