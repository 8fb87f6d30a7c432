"""What is usual: how held-out pictures look, and what an artifact says of them.

A stream is compared with this on the board; see `edgecnn.targets.live.alarm`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgecnn.bundle import Bundle
from edgecnn.errors import BundleError
from edgecnn.head import Head
from edgecnn.npz import read_arrays
from edgecnn.opencv import opencv
from edgecnn.reliability import Reliability

Values = NDArray[np.float32]
LOOKS = ("brightness", "contrast", "sharpness")
KEPT = (*LOOKS, "confidence")
"""Those that stand in the file."""


def look(image: NDArray[np.uint8]) -> dict[str, float]:
    """`LOOKS` of a network's input, uint8 `(height, width, channels)`.

    Brightness is the mean level, contrast its standard deviation, sharpness the part of the
    variance that a Laplacian leaves, which neither light nor contrast changes.
    """
    cv2 = opencv()
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.shape[2] == 3 else image[:, :, 0]
    mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(grey))
    edges = float(cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))[1][0, 0])
    return {"brightness": mean, "contrast": deviation, "sharpness": edges / (deviation + 1)}


def saying(values: Values, head: Head, familiarity: float | None) -> dict[str, float]:
    """What an engine's own probabilities `(outputs,)` say, and how familiar the picture is."""
    found = {"confidence": head.margin(values)}
    return found if familiarity is None else found | {"familiarity": familiarity}


@dataclass(frozen=True)
class Usual:
    """Of held-out pictures, and of one artifact."""

    measures: dict[str, NDArray[Any]]
    """Of `LOOKS` and `saying`, sorted, `(count,)`."""
    said: NDArray[np.int64]
    """How often each answer was given, `(answers,)`; none where any number of labels may hold."""

    @classmethod
    def of(
        cls, images: Iterable[NDArray[np.uint8]], values: Values, head: Head, known: Reliability
    ) -> Self:
        """Of pictures `(count, height, width, channels)` and what an artifact gave for them."""
        rows = [look(i) | saying(v, head, None) for i, v in zip(images, values, strict=True)]
        measures = {
            name: np.sort(np.array([row[name] for row in rows], np.float32)) for name in rows[0]
        }
        measures |= _familiarity(known)
        if head.kind == "sigmoid":
            return cls(measures, np.empty(0, np.int64))
        answers = 2 if head.kind == "binary" else values.shape[1]
        return cls(measures, np.bincount(head.decide(values), minlength=answers))

    @classmethod
    def load(cls, bundle: Bundle, format: str) -> Self | None:
        """That of a bundle's artifact; None where it was exported before there was any."""
        known = Reliability.load(bundle, format)
        if known is None or bundle.answers is None:
            return None
        try:
            file = read_arrays(bundle.answers)
            measures = {name: file[f"{format}_usual_{name}"] for name in KEPT}
            return cls(measures | _familiarity(known), file[f"{format}_usual_said"])
        except KeyError as error:
            raise BundleError(f"{bundle.answers} cannot be read: {error}. Export again.") from None

    def arrays(self, format: str) -> dict[str, NDArray[Any]]:
        """What `load` reads from the file."""
        kept = {name: self.measures[name] for name in KEPT}
        return {f"{format}_usual_{k}": v for k, v in (kept | {"said": self.said}).items()}


def _familiarity(known: Reliability) -> dict[str, NDArray[Any]]:
    """Of held-out pictures, which `known` keeps."""
    return {"familiarity": known.shares(known.familiar)} if len(known.familiar) else {}
