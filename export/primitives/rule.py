"""What a rule for a primitive is, and what rules read from one."""

from collections.abc import Callable, Sequence
from typing import Any

from edgecnn.errors import ExportError
from edgecnn.export.builder import Builder, Tensor
from edgecnn.graph import Array, Shape

Rule = Callable[[Builder, Any, Sequence[Tensor], str], Tensor | list[Tensor]]
RULES: dict[str, Rule] = {}
"""By TensorFlow's name of the primitive."""


def lowers(*types: str) -> Callable[[Rule], Rule]:
    """Register the rule for primitives of these names."""

    def register(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(types, rule))
        return rule

    return register


def flowing(x: Tensor, name: str) -> str:
    """An input that must depend on the picture; raises `ExportError` for a constant."""
    if not isinstance(x, str):
        raise ExportError(f"'{name}' works on a constant where a picture's features are expected.")
    return x


def constant_of(x: Tensor, name: str) -> Array:
    """An input that must be the same for every picture; else raises `ExportError`."""
    if isinstance(x, str):
        raise ExportError(f"'{name}' depends on the picture where export needs it to be fixed.")
    return x


def text_of(primitive: Any, key: str) -> str:
    """An attribute that is a word."""
    value = primitive.get_attr(key)
    return value.decode() if isinstance(value, bytes) else str(value)


def shape_of(primitive: Any, name: str, output: int = 0) -> Shape:
    """Shape of a result; raises `ExportError` where it depends on the picture."""
    shape = primitive.outputs[output].shape
    if not shape.is_fully_defined():
        raise ExportError(f"'{name}' gives a shape that depends on what flows: not supported.")
    return tuple(int(n) for n in shape)
