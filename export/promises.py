"""Whether what a bundle says of its own answers holds on pictures it did not see."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgecnn.binomial import interval
from edgecnn.export.accuracy import Probabilities, Rows, Truths
from edgecnn.export.reliability import CalibrationError
from edgecnn.file_array import by_blocks
from edgecnn.head import Head
from edgecnn.reliability import SHARES, Coverage, Reliability, TooFewPictures, of_each


@dataclass(frozen=True)
class Covered:
    """What became of a promise that the truth is among the labels named."""

    share: float
    """What was promised."""
    covered: float
    interval: tuple[float, float]
    """95%, exact."""
    labels: float
    """How many are named, on average."""
    unknown: float
    """In what share of pictures none is."""

    @classmethod
    def of(
        cls, share: float, known: Reliability, values: Rows, classes: Truths, head: Head
    ) -> Self:
        """On labelled pictures; raises `EdgeCnnError` where the bundle cannot promise it."""
        answers = of_each(values[:1], head).shape[1]
        lowest = known.lowest(Coverage(share), tuple(map(str, range(answers))))

        def judged(values: Probabilities, classes: Truths) -> NDArray[np.int64]:
            possible = of_each(values, head) >= lowest
            if head.kind == "sigmoid":
                holds = ~(np.asarray(classes, bool) & ~possible).any(axis=1)
            else:
                holds = possible[np.arange(len(classes)), classes]
            return np.stack([holds, possible.sum(axis=1)], axis=1)

        holds, size = by_blocks(judged, values, classes).T
        return cls(
            share,
            float(holds.mean()),
            interval(int(holds.sum()), len(holds)),
            float(size.mean()),
            float((size == 0).mean()),
        )


@dataclass(frozen=True)
class Promises:
    """What was found of a bundle's own statements."""

    raw: CalibrationError
    """Of the engine's own probabilities."""
    calibrated: CalibrationError | None = None
    coverage: tuple[Covered, ...] = ()
    """At the shares that its held-out pictures are enough for."""

    @classmethod
    def of(
        cls, known: Reliability | None, values: Rows, said: Rows, classes: Truths, head: Head
    ) -> Self:
        """On labelled pictures, of an engine's own probabilities (count, outputs).

        `said` is what becomes of them by `known`, where there is any.
        """
        raw = CalibrationError.of(values, classes, head)
        if known is None:
            return cls(raw)
        coverage = []
        for share in SHARES if len(known.true) else ():
            try:
                coverage.append(Covered.of(share, known, values, classes, head))
            except TooFewPictures:
                break  # for a larger share all the more
        calibrated = CalibrationError.of(said, classes, head)
        return cls(raw, calibrated, tuple(coverage))

    def to_json(self) -> dict[str, Any]:
        """As in `evaluate --json`."""
        found: dict[str, Any] = {"raw": self.raw.to_json()}
        if self.calibrated is not None:
            found |= {
                "calibrated": self.calibrated.to_json(),
                "coverage": [
                    vars(covered) | {"interval": list(covered.interval)}
                    for covered in self.coverage
                ],
            }
        return found
