"""How far pictures have come through a quantised network: no layer begins again at its start."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecnn.export.quantised import Quantised
from edgecnn.export.statistics import GraphRun, channels_last
from edgecnn.graph import Array, Graph, Operator


@dataclass(frozen=True)
class Arrived:
    """All that what follows a tensor will read of pictures.

    The integers of a tensor are as good a picture as any: the rest of the network is one that
    begins with them.
    """

    name: str
    pictures: NDArray[np.uint8]
    """(count, H, W, C), at the scale of the tensor of that name."""

    def values(self, name: str, quantised: Quantised) -> Iterator[Array]:
        """This tensor or a later one for each picture: real numbers, (1, ...), NHWC."""
        scale = quantised.scales[self.name]
        if name == self.name:
            for picture in self.pictures:
                whole = picture[None].astype(np.float32) - scale.zero_point
                yield whole * np.float32(scale.scale)
            return
        every = quantised.graph.operators
        first, last = ([op.name for op in every].index(end) for end in (self.name, name))
        begin = {"scale": scale.scale, "zero_point": scale.zero_point}
        start = Operator(self.name, "input", [], every[first].shape, begin)
        part = Graph([start, *every[first + 1 : last + 1]], name, quantised.graph.name)
        for value, _ in GraphRun(part, (), quantised).over(self.pictures):
            yield channels_last(value[None])

    def further(self, name: str, quantised: Quantised) -> "Arrived":
        """The same pictures where they have come to a later tensor."""
        scale = quantised.scales[name]
        pictures = np.empty((len(self.pictures), *quantised.graph[name].shape[1:]), np.uint8)
        for picture, value in zip(pictures, self.values(name, quantised), strict=True):
            picture[...] = np.round(value[0] / np.float32(scale.scale)) + scale.zero_point
        return Arrived(name, pictures)


def alone(quantised: Quantised) -> set[str]:
    """Tensors, held as integers, that are all that what follows them reads."""
    consumers = quantised.graph.consumers()
    found: set[str] = set()
    waiting: dict[str, int] = {}
    for op in quantised.graph:
        for name in op.inputs:
            waiting[name] -= 1
            if not waiting[name]:
                del waiting[name]
        waiting[op.name] = sum(reader.inputs.count(op.name) for reader in consumers[op.name])
        # One for each picture: a layer over time makes several of it, as if they were pictures.
        picture = len(op.shape) == 4 and op.shape[0] == 1
        if set(waiting) == {op.name} and op.name in quantised.scales and picture:
            found.add(op.name)
    return found - {quantised.graph.input.name, quantised.graph.output}
