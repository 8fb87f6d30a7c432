"""What makes two pictures different, for the `diverse` selection."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from edgecnn.calibration.selection import Features
from edgecnn.file_array import FileArray
from edgecnn.pictures import Picture, prepare
from edgecnn.preparation import prepared_chunks
from edgecnn.preprocessing import Preprocessing

THUMBNAIL = Preprocessing(8, 8, resize="stretch")


def look(pictures: Sequence[Picture]) -> Features:
    """Colour and layout: every picture as 8×8 RGB, without knowing any network."""
    found = FileArray.scratch((len(pictures), math.prod(THUMBNAIL.shape)), np.float32)
    done = 0
    for chunk in prepared_chunks(lambda i: pictures[i].read(), len(pictures), THUMBNAIL):
        found.write(done, (chunk.reshape(len(chunk), -1) / 255.0).astype(np.float32))
        done += len(chunk)
    return found


def of_network(name: str) -> Callable[[Sequence[Picture]], Features]:
    """What a network (architecture or checkpoint) sees: the input of its last dense layer."""
    from edgecnn.export import network as networks
    from edgecnn.export.folding import fold
    from edgecnn.export.heads import with_probabilities
    from edgecnn.export.lowering import lower
    from edgecnn.export.statistics import GraphRun

    network = networks.find(name)
    graph = fold(with_probabilities(lower(network.model)), network.preprocessing)
    weighted = [op for op in graph if op.op in ("dense", "conv")]
    before_classes = weighted[-1].inputs[0]
    run = GraphRun(graph, (before_classes,))

    def features(pictures: Sequence[Picture]) -> Features:
        def row(picture: Picture) -> NDArray[np.float32]:
            image = prepare([picture], network.preprocessing)
            return run(image)[1][before_classes].astype(np.float32).reshape(1, -1)

        first = row(pictures[0])
        found = FileArray.scratch((len(pictures), first.shape[1]), np.float32)
        for number, picture in enumerate(pictures):
            found.write(number, row(picture))
        return found

    return features
