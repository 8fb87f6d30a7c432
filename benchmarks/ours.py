"""What edgecnn makes of a network: int8 from what every tool does to integers that learn, float.

Each way takes the network as `edgecnn export` finds it, the calibration pictures and an empty
folder, and gives the folder in which it left the model files. None has any other pictures.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecnn.calibration import calibration_set
from edgecnn.calibration.calibration_set import CalibrationSet
from edgecnn.pictures import Picture, prepare

if TYPE_CHECKING:
    from edgecnn.export.network import Network

Way = Callable[["Network", CalibrationSet, Path], Path]


def exported(network: "Network", pictures: CalibrationSet, folder: Path, **options: Any) -> Path:
    """What `edgecnn export` does, with these options."""
    import edgecnn

    out = folder / "bundle"
    return edgecnn.export(network, calibration=pictures, out=out, **options).path


def plain(network: "Network", pictures: CalibrationSet, folder: Path) -> Path:
    """Weights per channel, rounded to the nearest; ranges as they were seen; nothing corrected."""
    from edgecnn.export import formats
    from edgecnn.export.folding import fold
    from edgecnn.export.heads import with_head
    from edgecnn.export.recipe import Quantiser, Recipe

    graph = fold(with_head(network.graph)[0], network.preprocessing)
    quantiser = Quantiser(graph, prepare(pictures.pictures, network.preprocessing))
    found = quantiser.quantise(Recipe("minmax", rounding="nearest", bias_correction="none"))
    for name in formats.FORMATS:
        formats.get(name).write(found.graph, found, folder)
    return folder


def qat(network: "Network", pictures: CalibrationSet, folder: Path) -> Path:
    """`edgecnn train --qat` on the calibration pictures, then `edgecnn export`."""
    import edgecnn

    both = (pictures.pictures, pictures.held_out)
    calibration_set.write(folder / "pictures", *both, origin=pictures.origin, details={})
    trained = edgecnn.train_qat(
        network.model,
        folder / "pictures",
        out=folder / "run",
        labels=network.labels,
        preprocessing=network.preprocessing,
    )
    return edgecnn.export(trained.path, calibration=pictures, out=folder / "bundle").path


OURS = "edgecnn"
WIDER = ("float32", "fp16")
"""Ways of more than 8 bits."""
WAYS: dict[str, Way] = {
    OURS: exported,
    f"{OURS} plain": plain,
    # Repaired until it answers as float on all it verifies with.
    f"{OURS} best": partial(exported, max_drop=0),
    f"{OURS} qat": qat,
    f"{OURS} float32": partial(exported, precision="fp32"),
    f"{OURS} fp16": partial(exported, precision="fp16"),
}
"""By their names in the tables."""


def divided(pictures: Sequence[Picture]) -> CalibrationSet:
    """As export divides a folder: four fifths to calibrate with, and the rest to verify with."""
    used, held_out = calibration_set.split([Picture(picture.path) for picture in pictures])
    return CalibrationSet("benchmark", used, held_out, "the benchmark's pictures")
