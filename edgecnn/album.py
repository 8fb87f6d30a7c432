"""The album: small pictures of what an export looked at, kept in the bundle for people.

What calibrated it, and the held-out pictures on which its artifacts depart most from the float
network, with the answers of both. No runner reads it; `edgecnn show` does.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from edgecnn.bundle import Bundle
from edgecnn.errors import UNREADABLE, BundleError
from edgecnn.opencv import opencv

FILE = "album.jpg"
SIDE = 96
"""Pixels of a picture's longer side, at most."""
COLUMNS = 12
CALIBRATION, WORST = 48, 12
"""How many are kept."""
QUALITY = 90
FLOAT = "float32"

Image = NDArray[np.uint8]


class Answer(NamedTuple):
    """What a network said of a picture."""

    label: str
    probability: float


@dataclass(frozen=True)
class Case:
    """A picture, what it shows, and what was said of it."""

    image: Image
    """uint8 BGR (height, width, 3), as the network saw it, small."""
    truth: str | None
    """None where nobody said."""
    answers: dict[str, Answer]
    """By format; that of the float network by `float32`, where it was asked."""

    def to_json(self) -> dict[str, Any]:
        """As in the manifest, whose picture is in the album."""
        said = {name: answer._asdict() for name, answer in self.answers.items()}
        return {"truth": self.truth, "answers": said}


@dataclass(frozen=True)
class Album:
    """The pictures of a bundle."""

    calibration: tuple[Image, ...]
    """Evenly chosen from the set, small; none of a bundle that was not calibrated."""
    worst: tuple[Case, ...]

    def write(self, folder: Path) -> dict[str, Any]:
        """Write the sheet of all pictures; returns what the manifest says of them."""
        images = [*self.calibration, *(case.image for case in self.worst)]
        height, width = images[0].shape[:2]
        sheet = np.full((-(-len(images) // COLUMNS) * height, COLUMNS * width, 3), 255, np.uint8)
        for place, image in enumerate(images):
            sheet[_tile(place, height, width)] = image
        cv2 = opencv()
        done, data = cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        assert done
        (folder / FILE).write_bytes(data.tobytes())
        return {
            "calibration": len(self.calibration),
            "height": height,
            "width": width,
            "worst": [case.to_json() for case in self.worst],
        }

    @classmethod
    def load(cls, bundle: Bundle) -> Self | None:
        """That of a bundle; None where it was exported before there was any.

        Raises `BundleError` for one that is no album.
        """
        if bundle.album is None:
            return None
        try:
            told = bundle.manifest["shown"]
            count, height, width = (int(told[key]) for key in ("calibration", "height", "width"))
            sheet = opencv().imread(str(bundle.album))
            if sheet is None or not min(height, width) > 0 <= count <= CALIBRATION:
                raise ValueError("no sheet of pictures")
            images = [
                sheet[_tile(place, height, width)] for place in range(count + len(told["worst"]))
            ]
            if any(image.shape != (height, width, 3) for image in images):
                raise ValueError("fewer pictures than are told of")
            worst = tuple(
                Case(
                    image,
                    None if case["truth"] is None else str(case["truth"]),
                    {
                        str(name): Answer(str(said["label"]), float(said["probability"]))
                        for name, said in case["answers"].items()
                    },
                )
                for image, case in zip(images[count:], told["worst"], strict=True)
            )
        except UNREADABLE as error:
            raise BundleError(f"{bundle.album} cannot be read: {error}. Export again.") from None
        return cls(tuple(images[:count]), worst)


def small(images: Image) -> list[Image]:
    """Network input (count, height, width, channels) as BGR pictures of at most `SIDE` pixels."""
    cv2 = opencv()
    height, width = images.shape[1:3]
    factor = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    coloured = (np.broadcast_to(one, (height, width, 3))[..., ::-1] for one in images)
    return [
        np.asarray(
            cv2.resize(np.ascontiguousarray(one), size, interpolation=cv2.INTER_AREA), np.uint8
        )
        for one in coloured
    ]


def _tile(place: int, height: int, width: int) -> tuple[slice, slice]:
    row, column = divmod(place, COLUMNS)
    return (
        slice(row * height, (row + 1) * height),
        slice(column * width, (column + 1) * width),
    )
