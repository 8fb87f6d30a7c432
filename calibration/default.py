"""The calibration set of an export that was given none.

Real photographs that ship inside scikit-image and scikit-learn, each in several crops: enough
for ranges that are not absurd, not enough to represent anybody's camera.
"""

from pathlib import Path

from edgecnn.calibration.calibration_set import CalibrationSet
from edgecnn.errors import require
from edgecnn.pictures import Picture

NAME = "default-photographs"
CALIBRATE = (
    "astronaut.png",
    "brick.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "motorcycle_left.png",
    "retina.jpg",
)
"""From scikit-image: people, things, textures, light and dark scenes."""
VERIFY = ("chelsea.png", "rocket.jpg")
"""Other subjects, so that the verification sees nothing that calibration saw."""
VERIFY_SKLEARN = ("china.jpg", "flower.jpg")

PARTS = (
    None,
    (0.0, 0.0, 0.6),
    (0.0, 0.4, 0.6),
    (0.4, 0.0, 0.6),
    (0.4, 0.4, 0.6),
    (0.2, 0.2, 0.6),
    (0.3, 0.3, 0.4),
    (0.1, 0.1, 0.8),
)
"""The whole picture, its corners, and its centre at three sizes."""


def default_calibration() -> CalibrationSet:
    """80 crops to calibrate with and 32 to verify with; raises `MissingExtra` without them."""
    what = "The default calibration set"
    skimage = require("skimage", what=what, package="scikit-image", extra="export")
    sklearn = require("sklearn", what=what, package="scikit-learn", extra="export")
    first = Path(str(skimage.__file__)).parent / "data"
    second = Path(str(sklearn.__file__)).parent / "datasets" / "images"
    calibrate = [first / name for name in CALIBRATE]
    verify = [first / name for name in VERIFY] + [second / name for name in VERIFY_SKLEARN]
    return CalibrationSet(
        NAME,
        _crops(calibrate),
        _crops(verify),
        origin="photographs inside scikit-image and scikit-learn, in several crops",
        representative=False,
    )


def _crops(paths: list[Path]) -> tuple[Picture, ...]:
    return tuple(Picture(path, part=part) for path in paths for part in PARTS)
