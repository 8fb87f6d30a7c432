"""The arithmetic of activation memory: what is alive when, and where a planner puts it.

Pure functions on a `Graph`; nothing is run.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from edgecnn.graph import Graph, Operator

ELEMENT_BYTES = {"int8": 1, "fp16": 2, "fp32": 4}
ALIGNMENT = 64
"""Bytes to which engines align tensors (LiteRT, ONNX Runtime and OpenVINO alike)."""


@dataclass(frozen=True)
class Lifetime:
    """A block of memory that is needed from step `first` to step `last`, both included."""

    name: str
    bytes: int
    first: int
    last: int

    def overlaps(self, other: "Lifetime") -> bool:
        """Whether both are needed at some step."""
        return self.first <= other.last and other.first <= self.last


def tensor_bytes(op: Operator, dtype: str, batch: int = 1) -> int:
    """Bytes of an operator's output: the picture is uint8, probabilities are float32."""
    element = {"input": 1, "softmax": 4}.get(op.op, ELEMENT_BYTES[dtype])
    return op.elements * element * batch


def lifetimes(graph: Graph, dtype: str, batch: int = 1) -> list[Lifetime]:
    """When each tensor is needed: from the step that makes it to the last that reads it.

    A reshape is no copy: it prolongs the life of what it reads. The step of an operator is its
    place in the graph.
    """
    step = {op.name: i for i, op in enumerate(graph)}
    holder: dict[str, str] = {}
    last: dict[str, int] = {}
    for i, op in enumerate(graph):
        holder[op.name] = holder[op.inputs[0]] if op.op == "reshape" else op.name
        last[holder[op.name]] = i
        for name in op.inputs:
            last[holder[name]] = i
    last[holder[graph.output]] = len(graph.operators) - 1
    return [
        Lifetime(op.name, tensor_bytes(op, dtype, batch), step[op.name], last[op.name])
        for op in graph
        if holder[op.name] == op.name
    ]


def live_bytes(blocks: Sequence[Lifetime], steps: int) -> list[int]:
    """Bytes alive at each step."""
    change = [0] * (steps + 1)
    for block in blocks:
        change[block.first] += block.bytes
        change[block.last + 1] -= block.bytes
    live, now = [], 0
    for difference in change[:-1]:
        now += difference
        live.append(now)
    return live


def plan(blocks: Sequence[Lifetime], alignment: int = ALIGNMENT) -> dict[str, int]:
    """An offset for each block so that blocks alive together do not overlap.

    Greedy by size: the largest block first, each at the lowest offset that fits (Pisarchyk and
    Lee, Efficient Memory Management for Deep Neural Net Inference, 2020).
    """
    placed: list[tuple[int, Lifetime]] = []
    for block in sorted(blocks, key=lambda b: (-b.bytes, b.first)):
        offset = 0
        for start, other in sorted(placed, key=lambda p: p[0]):
            if not block.overlaps(other):
                continue
            if offset + block.bytes <= start:
                break
            offset = max(offset, _aligned(start + other.bytes, alignment))
        placed.append((offset, block))
    return {block.name: offset for offset, block in placed}


def arena_bytes(blocks: Sequence[Lifetime], alignment: int = ALIGNMENT) -> int:
    """Size of the arena that `plan` lays out."""
    offsets = plan(blocks, alignment)
    return max((offsets[b.name] + _aligned(b.bytes, alignment) for b in blocks), default=0)


def _aligned(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment
