"""Descriptions of formats whose engines fuse: ONNX and OpenVINO.

In the file a quantised tensor stands three times: the float result, its integers, and their
float value. An engine holds the integers only. So operators that only change how a tensor is
written, and those that work in place on what nobody else reads, share memory with their input;
of a shared block the narrowest element counts.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgecnn import memory
from edgecnn.artifacts.description import Description, Dtype, Step
from edgecnn.memory import Lifetime


@dataclass(frozen=True)
class Node:
    """An operator of the file; the output has the operator's name."""

    name: str
    type: str
    inputs: tuple[str, ...]
    """Without constants."""
    shape: tuple[int, ...]
    element_bytes: int
    step: Step
    view: bool = False
    """Whether the output is the input written differently."""
    in_place: bool = False
    """Whether engines write the output over the only input."""


def describe(nodes: Sequence[Node], output: str, dtype: Dtype, weights_bytes: int) -> Description:
    """The description of a file's operators in order, its inputs among them."""
    readers = _readers(nodes, output)
    holder: dict[str, str] = {}
    parts: dict[str, list[Node]] = {}
    for node in nodes:
        held = node.name
        if node.inputs and (node.view or node.in_place):
            block = parts[holder[node.inputs[0]]]
            alone = all(readers[other.name] == 1 for other in block)
            # Widening, as a dequantiser does, leaves the narrow values as they are.
            widens = node.view and node.element_bytes >= _width(block)
            if alone or widens:
                held = block[0].name
        holder[node.name] = held
        parts.setdefault(held, []).append(node)

    order = {name: place for place, name in enumerate(parts)}
    last = dict(order)
    for node in nodes:
        for name in node.inputs:
            last[holder[name]] = max(last[holder[name]], order[holder[node.name]])
    last[holder[output]] = len(order) - 1
    size = {held: math.prod(group[0].shape) * _width(group) for held, group in parts.items()}
    blocks = tuple(Lifetime(held, size[held], order[held], last[held]) for held in order)
    return Description(
        dtype=dtype,
        weights_bytes=weights_bytes,
        steps=tuple(_joined(group, size[held]) for held, group in parts.items()),
        blocks=blocks,
        arena_bytes=memory.arena_bytes(blocks),
    )


def _readers(nodes: Sequence[Node], output: str) -> dict[str, int]:
    readers = dict.fromkeys((node.name for node in nodes), 0)
    readers[output] += 1
    for name in itertools.chain.from_iterable(node.inputs for node in nodes):
        readers[name] += 1
    return readers


def _width(block: Sequence[Node]) -> int:
    return min(node.element_bytes for node in block)


def _joined(group: Sequence[Node], size: int) -> Step:
    """One step of the operators that share a block; the first gives it its name."""
    first = group[0].step
    return replace(
        first,
        output_bytes=size,
        parameters=sum(node.step.parameters for node in group),
        macs=sum(node.step.macs for node in group),
    )
