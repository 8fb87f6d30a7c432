"""What makes two pictures different, for the `diverse` selection."""

import itertools
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
    chunks = prepared_chunks(lambda i: pictures[i].read(), len(pictures), THUMBNAIL)
    rows = ((chunk.reshape(len(chunk), -1) / 255.0).astype(np.float32) for chunk in chunks)
    return FileArray.filled((len(pictures), math.prod(THUMBNAIL.shape)), np.float32, rows)


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

        rows = map(row, pictures)
        first = next(rows)
        return FileArray.filled(
            (len(pictures), first.shape[1]), np.float32, itertools.chain([first], rows)
        )

    return features
