"""What stands in front of a network's first layer: whether it scales raw pixels itself."""

import numpy as np

from edgecnn.graph import Array, Graph, Operator
from edgecnn.operators import kind_of

WIDEST = 32.0
"""What a network that scales its pixels makes of 0 to 255 is at most so wide."""
OFFSET = 16.0
"""Nobody takes so much off what lies between 0 and 1: it is a mean of pixels."""


def scales_pixels(graph: Graph) -> bool:
    """Whether the graph, as lowered from Keras, brings raw pixels into a layer's range itself."""
    consumers = graph.consumers()
    one: Array = np.ones(1)
    waiting: list[tuple[Operator, Array, Array]] = [(graph.input, one, 0 * one)]
    found = []
    while waiting:
        op, scale, shift = waiting.pop()
        for reader in consumers[op.name]:
            if reader.op == "affine" and not reader.attributes.get("learned"):
                scale_after = scale * reader.weights["scale"]
                shift_after = shift * reader.weights["scale"] + reader.weights["shift"]
                if _is_pixel_arithmetic(scale_after, shift_after):
                    found.append(True)
                else:
                    waiting.append((reader, scale_after, shift_after))
            elif "operand" in reader.weights:
                found.append(True)  # a mean picture taken off, say
            elif kind_of(reader).moves or reader.op == "resize" or _resamples(reader):
                if reader.shape[-1] != scale.size:  # channels were moved: bounds of all hold
                    scale, shift = scale.max(keepdims=True), shift.max(keepdims=True)
                waiting.append((reader, scale, shift))
            else:
                found.append(False)
    return bool(found) and all(found)


def _resamples(op: Operator) -> bool:
    """Whether each value is a mean of others, as in bicubic resizing: no layer learns that."""
    if op.op not in ("conv", "dense") or op.weights["bias"].any():
        return False
    kernel = op.weights["kernel"]
    sums = kernel.reshape(-1, kernel.shape[-1]).sum(axis=0)
    return bool(np.allclose(sums, 1, atol=1e-4))


def _is_pixel_arithmetic(scale: Array, shift: Array) -> bool:
    width = 255 * np.abs(scale).max()
    return bool(width <= WIDEST or np.abs(shift).min() >= OFFSET)
