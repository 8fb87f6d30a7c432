"""Feature maps of a bundle's layers for one picture: the float network's beside the artifact's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecnn.analysis import RamAnalysis
from edgecnn.bundle import Bundle
from edgecnn.errors import DataError, UnknownName
from edgecnn.export.explain import litert_tensors, ratio
from edgecnn.export.float_network import found_float
from edgecnn.export.folding import fold
from edgecnn.export.heads import with_head
from edgecnn.export.statistics import GraphRun
from edgecnn.graph import Array
from edgecnn.quiet import import_keras

FEW = 4
"""Layers that are shown where none is named."""


@dataclass(frozen=True)
class FeatureMaps:
    """What one layer made of a picture."""

    layer: str
    expected: Array | None
    """float32 (channels, height, width), as the folded float network computes it; None where that
    is not here."""
    found: Array | None
    """Likewise, as LiteRT computes it from the artifact; None where the bundle has no TFLite, or
    it has no tensor of that name."""

    @property
    def sqnr_db(self) -> float | None:
        """How far apart the two are; see `edgecnn.export.explain`."""
        if self.expected is None or self.found is None:
            return None
        return ratio(
            float(np.square(self.expected, dtype=np.float64).sum()),
            float(np.square(self.expected - self.found, dtype=np.float64).sum()),
        )


def feature_maps(
    bundle: Bundle,
    image: NDArray[np.uint8],
    layers: Sequence[str],
    notes: list[str],
    reference: bool | Path | str = True,
) -> list[FeatureMaps]:
    """Those of the layers named, or of a few from front to back, for one input (1, H, W, C).

    Layers are called as in `edgecnn analyze BUNDLE`. Raises `UnknownName` for others, `DataError`
    for layers that have no maps.
    """
    analysis = RamAnalysis.from_json(bundle.manifest.get("ram_analysis", {}))
    have = {layer.name: layer.output_shape for layer in analysis.layers}
    with_maps = [
        name for name, shape in have.items() if len(shape) == 3 and shape[0] * shape[1] >= 4
    ]
    for name in layers:
        if name not in have:
            raise UnknownName("layer", name, have)
        if name not in with_maps:
            shape = "×".join(map(str, have[name]))
            raise DataError(f"'{name}' has no feature maps: it gives {shape} numbers.")
    names = list(layers)
    if not names and with_maps:
        places = np.linspace(1, len(with_maps) - 1, FEW).round().astype(int)
        names = [with_maps[place] for place in dict.fromkeys(places.tolist())]
    expected = _float_tensors(bundle, image, names, notes, reference)
    found: dict[str, Array] = {}
    if "tflite" in bundle.artifacts:
        (found,) = litert_tensors(bundle.model_file("tflite"), names, image)
    else:
        notes.append("Only LiteRT shows what is inside an artifact, and this bundle has no tflite.")
    maps = [FeatureMaps(name, _maps(expected, name), _maps(found, name)) for name in names]
    for one in maps:
        if one.expected is None and one.found is None:
            raise DataError(f"Neither the float network nor the artifact shows '{one.layer}'.")
    return maps


def _float_tensors(
    bundle: Bundle,
    image: NDArray[np.uint8],
    names: Sequence[str],
    notes: list[str],
    reference: bool | Path | str,
) -> dict[str, Array]:
    if not reference:
        return {}
    import_keras()
    network = found_float(bundle, notes, reference)
    if network is None:
        return {}
    # Folded as the artifact is, so that layers of one name are the same.
    trained, _, _ = with_head(network.graph, bundle.head.kind)
    graph = fold(trained, bundle.preprocessing)
    known = [name for name in names if name in {op.name for op in graph}]
    _, tensors = GraphRun(graph, known)(image)
    return tensors


def _maps(tensors: dict[str, Array], name: str) -> Array | None:
    return tensors[name][0] if name in tensors else None
