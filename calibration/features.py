"""What makes two pictures different, for the `diverse` selection."""

from collections.abc import Callable, Sequence

import numpy as np

from edgecnn.calibration.selection import Features
from edgecnn.pictures import Picture, prepare
from edgecnn.preprocessing import Preprocessing

THUMBNAIL = Preprocessing(8, 8, resize="stretch")


def look(pictures: Sequence[Picture]) -> Features:
    """Colour and layout: every picture as 8×8 RGB, without knowing any network."""
    found: Features = (prepare(pictures, THUMBNAIL).reshape(len(pictures), -1) / 255.0).astype(
        np.float32
    )
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
        rows = []
        for picture in pictures:
            image = prepare([picture], network.preprocessing)
            rows.append(run(image)[1][before_classes].ravel())
        return np.stack(rows).astype(np.float32)

    return features
