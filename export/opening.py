"""Opens what has no rule of its own: a layer or operation is traced into TensorFlow's primitives.

Called once on stand-ins of its inputs' shapes, in inference, a layer becomes a graph of a few dozen
kinds of primitive, for which `primitives.py` has the rules. So whatever a layer's author wrote, in
`keras.ops` or in TensorFlow, is exported as it computes. What depends on no picture is computed
here, by TensorFlow.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecnn.errors import ExportError
from edgecnn.graph import Array, Shape

SHAPES_ONLY = frozenset({"Shape", "ShapeN", "Size", "Rank"})
"""Primitives that look at the shape of their input alone."""
HANDLES = frozenset({"variant", "resource"})
DRAWN = ("Random", "Stateless", "Multinomial")


WITH_WEIGHTS = ("Conv2D", "DepthwiseConv2dNative")
CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
CHOICES = frozenset({"If", "StatelessIf"})


@dataclass(frozen=True)
class Opened:
    """A traced call: primitives in the order they run, without those of constants alone."""

    inputs: tuple[str, ...]
    """Names of the tensors that stand for the call's inputs."""
    outputs: tuple[str, ...]
    primitives: tuple[Any, ...]
    """TensorFlow's `Operation`, or a `Dilated`."""
    constants: dict[str, Array]
    """By tensor name."""


class Dilated:
    """A convolution whose pixels TensorFlow spreads over a batch, and gathers again: dilated."""

    type = "Dilated"

    def __init__(self, before: Any, convolution: Any, after: Any) -> None:
        self.convolution = convolution
        self.name = convolution.name
        self.inputs = [*before.inputs, convolution.inputs[1], after.inputs[2]]
        self.outputs = after.outputs


def opened(
    call: Callable[..., Any], shapes: list[Shape], types: Sequence[str], name: str
) -> Opened:
    """Trace a call of tensors; raises `ExportError` where that cannot be done."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (  # TensorFlow shows no other way
        convert_variables_to_constants_v2,
    )

    specs = [tf.TensorSpec(*spec) for spec in zip(shapes, types, strict=True)]
    try:
        function = tf.function(_in_inference(call), autograph=False).get_concrete_function(*specs)
        frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
    except Exception as error:  # whatever the layer's own code raises
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        if "AssignVariable" in reason:
            raise ExportError(
                f"'{name}' changes something it keeps each time it runs (what random numbers are "
                "drawn from, or a counter): do that in training only."
            ) from error
        raise ExportError(
            f"'{name}' cannot be opened for export, its own code fails when it is traced: {reason}"
        ) from error
    return _without_constants(frozen.graph, frozen.inputs, shapes, frozen.outputs, {})


def opened_function(
    primitive: Any, arguments: Sequence[Any], shapes: Sequence[Shape], what: str
) -> tuple[Opened, Sequence[Any]]:
    """What a primitive that calls a function, or one of two, computes, and of which arguments.

    An argument is a tensor's name, or an array that is constant; `shapes` are theirs.
    """
    import tensorflow as tf
    from tensorflow.python.framework.function_def_to_graph import function_def_to_graph

    key = "f"
    if primitive.type in CHOICES:
        condition, *arguments = arguments
        shapes = shapes[1:]
        if isinstance(condition, str):
            raise ExportError(f"{what} decides by the picture what it computes: not supported.")
        key = "then_branch" if np.all(condition) else "else_branch"
    outer = primitive.graph
    definition = outer._get_function(primitive.get_attr(key).name).cached_definition
    with outer.as_default():
        graph = function_def_to_graph(definition, input_shapes=[tf.TensorShape(n) for n in shapes])
    known = {
        tensor.name: value
        for tensor, value in zip(graph.inputs, arguments, strict=True)
        if not isinstance(value, str)
    }
    return _without_constants(graph, graph.inputs, shapes, graph.outputs, known), arguments


def _in_inference(call: Callable[..., Any]) -> Callable[..., Any]:
    """The call as Keras makes it of a model: layers within layers are told that nobody trains."""
    import keras

    class Inference(keras.layers.Layer):  # type: ignore[misc]  # Keras is untyped
        def call(self, *tensors: Any, training: bool | None = None) -> Any:  # noqa: ARG002
            return call(*tensors)

    layer = Inference(dtype="float32")
    layer.built = True
    return lambda *tensors: layer(*tensors, training=False)


def _without_constants(
    graph: Any,
    inputs: Sequence[Any],
    shapes: Sequence[Shape],
    outputs: Sequence[Any],
    known: dict[str, Array],
) -> Opened:
    """A graph's primitives, and the values of what depends on no picture."""
    import tensorflow as tf

    names = tuple(tensor.name for tensor in outputs)
    fixed = set(known)
    flowing: list[Any] = []
    needed = set(names)
    for op in graph.get_operations():
        if op.type in ("Placeholder", "NoOp"):
            continue
        drawn = op.type.startswith(DRAWN)
        still = op.type in SHAPES_ONLY or all(tensor.name in fixed for tensor in op.inputs)
        # Lists and handles (of what runs step by step) have no values.
        still = still and not any(tensor.dtype.name in HANDLES for tensor in op.outputs)
        if still and not drawn:
            fixed.update(tensor.name for tensor in op.outputs)
        else:
            flowing.append(op)
            needed.update(tensor.name for tensor in op.inputs)
    wanted = sorted((needed & fixed) - set(known))
    constants = dict(known)
    if wanted:
        with tf.compat.v1.Session(graph=graph) as session:
            feed = {
                tensor.name: known.get(tensor.name, np.zeros(shape, tensor.dtype.as_numpy_dtype))
                for tensor, shape in zip(inputs, shapes, strict=True)
            }
            constants |= zip(wanted, session.run(wanted, feed), strict=True)
    return Opened(
        tuple(tensor.name for tensor in inputs), names, tuple(_with_dilation(flowing)), constants
    )


def _with_dilation(primitives: list[Any]) -> list[Any]:
    """The primitives with what belongs to a dilated convolution as one."""
    found: list[Any] = []
    gone: set[str] = set()
    for op in primitives:
        if op.type == "BatchToSpaceND":
            inner = [op.inputs[0].op]
            while inner[-1].type in ("Squeeze", "ExpandDims", *WITH_WEIGHTS):
                inner.append(inner[-1].inputs[0].op)
            weighted = [part for part in inner if part.type in WITH_WEIGHTS]
            if inner[-1].type == "SpaceToBatchND" and len(weighted) == 1:
                gone.update(part.name for part in inner)
                op = Dilated(inner[-1], weighted[0], op)  # noqa: PLW2901
        found.append(op)
    return [op for op in found if isinstance(op, Dilated) or op.name not in gone]
