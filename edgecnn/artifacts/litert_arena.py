"""The arena as LiteRT's planner lays it out.

The rules of `tflite/arena_planner.cc` and `tflite/simple_memory_arena.cc` (LiteRT 2): what lives
through the whole run is placed first, all else by falling size, then by birth; each block goes
into the smallest gap that holds it, at a multiple of 64 bytes, else behind everything it may not
overlap. An operator that may work in place writes over its input where nobody else reads that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

TENSOR_ALIGNMENT = 64
SCALAR_BYTES = 4
"""Tensors up to this size are never shared by operators that change them."""


@dataclass(frozen=True)
class Block:
    """Memory needed from operator `first` to `last`; None: for good."""

    tensor: int
    bytes: int
    first: int
    last: int | None

    def overlaps(self, other: "Block") -> bool:
        """Whether both are needed at some operator."""
        starts_in_time = self.last is None or other.first <= self.last
        return starts_in_time and (other.last is None or self.first <= other.last)


@dataclass(frozen=True)
class Operator:
    """What the planner knows of an operator; tensors by number, constants left out."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    scratch: tuple[int, ...] = ()
    """Bytes of each temporary tensor."""
    in_place: tuple[int, ...] = ()
    """Positions of the inputs whose memory the output may take."""
    changes: bool = True
    """False where in place means that nothing is written at all, as in a reshape."""


def blocks(
    operators: Sequence[Operator],
    sizes: dict[int, int],
    inputs: Sequence[int],
    outputs: Sequence[int],
) -> list[Block]:
    """Lifetimes of all activations and temporaries; `sizes` holds bytes by tensor.

    Inputs and outputs of the network are never shared, inputs live for good. Temporaries get
    numbers from the highest tensor on.
    """
    readers = dict.fromkeys(sizes, 0)
    for tensor in (*inputs, *outputs):
        readers[tensor] += 1
    for operator in operators:
        for tensor in operator.inputs:
            readers[tensor] += 1
    holder = _holders(operators, sizes, readers, inputs, outputs)

    first = dict.fromkeys(inputs, 0)
    last: dict[int, int] = {}
    for number, operator in enumerate(operators):
        for tensor in operator.outputs:
            first.setdefault(tensor, number)
        for tensor in operator.inputs:
            last[holder[tensor]] = number
    for tensor in (*inputs, *outputs):
        last.pop(tensor, None)

    found = [
        Block(tensor, sizes[tensor], birth, last.get(tensor))
        for tensor, birth in first.items()
        if holder[tensor] == tensor
    ]
    temporary = max(sizes, default=0)
    for number, operator in enumerate(operators):
        for size in operator.scratch:
            temporary += 1
            found.append(Block(temporary, size, number, number))
    return found


def _holders(
    operators: Sequence[Operator],
    sizes: dict[int, int],
    readers: dict[int, int],
    inputs: Sequence[int],
    outputs: Sequence[int],
) -> dict[int, int]:
    """Which tensor's memory each tensor lies in."""
    holder = {tensor: tensor for tensor in sizes}
    for operator in operators:
        output = operator.outputs[0]
        if output in outputs:
            continue
        for position in operator.in_place:
            if position >= len(operator.inputs):
                continue
            source = operator.inputs[position]
            if source in inputs:
                continue
            if operator.changes and (
                sizes[source] != sizes[output]
                or sizes[source] <= SCALAR_BYTES
                or readers[source] > 1
            ):
                continue
            # Only the first input that may be shared is looked at further.
            if not operator.changes or readers[holder[source]] <= 1:
                holder[output] = holder[source]
            break
    return holder


def place(found: Sequence[Block]) -> dict[int, int]:
    """An offset for each block of at least one byte, by tensor."""
    placed: list[tuple[int, Block]] = []
    for block in sorted(found, key=_order):
        if not block.bytes:
            continue
        offset, smallest, end = None, None, 0
        for start, other in placed:
            if not block.overlaps(other):
                continue
            begin = _aligned(end)
            if begin + block.bytes <= start and (smallest is None or start - begin < smallest):
                offset, smallest = begin, start - end
            end = max(end, start + other.bytes)
        placed.append((_aligned(end) if offset is None else offset, block))
        placed.sort(key=lambda pair: pair[0])
    return {block.tensor: offset for offset, block in placed}


def arena_bytes(found: Sequence[Block]) -> int:
    """From the first to the last byte of what `place` lays out."""
    offsets = place(found)
    return max((offsets[b.tensor] + b.bytes for b in found if b.bytes), default=0)


def _order(block: Block) -> tuple[bool, int, int, int]:
    for_good = block.first == 0 and block.last is None
    if for_good:
        return (False, 0, 0, block.tensor)
    return (True, -block.bytes, block.first, block.tensor)


def _aligned(size: int) -> int:
    return -(-size // TENSOR_ALIGNMENT) * TENSOR_ALIGNMENT
