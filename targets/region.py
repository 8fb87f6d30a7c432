"""The part of a frame that is looked at."""

import re
from dataclasses import dataclass
from typing import Self

from edgecnn.errors import EdgeCnnError
from edgecnn.preprocessing import Frame


@dataclass(frozen=True)
class Region:
    """A rectangle, in fractions of the frame, so that it holds for every frame size."""

    left: float
    top: float
    width: float
    height: float

    def __post_init__(self) -> None:
        inside = min(self.left, self.top) >= 0 and min(self.width, self.height) > 0
        if not (inside and max(self.left + self.width, self.top + self.height) <= 1 + 1e-9):
            raise EdgeCnnError(
                f"{self.left:g},{self.top:g},{self.width:g},{self.height:g} does not lie in the "
                "frame: --roi is LEFT,TOP,WIDTH,HEIGHT in fractions, as in 0.25,0,0.5,1."
            )

    @classmethod
    def parse(cls, text: str, option: str = "--roi") -> Self:
        """From `LEFT,TOP,WIDTH,HEIGHT`, as `option` has it; raises `EdgeCnnError` for others."""
        number = r"\s*(\d*\.?\d+)\s*"
        if not (match := re.fullmatch(",".join([number] * 4), text)):
            raise EdgeCnnError(
                f"{option} {text}: it is LEFT,TOP,WIDTH,HEIGHT in fractions, as in 0.25,0,0.5,1."
            )
        return cls(*map(float, match.groups()))

    def rows_and_columns(self, frame: Frame) -> tuple[slice, slice]:
        """Its pixels in a frame `(height, width, ...)`, at least one."""
        rows = _pixels(self.top, self.height, frame.shape[0])
        return rows, _pixels(self.left, self.width, frame.shape[1])


def _pixels(start: float, length: float, count: int) -> slice:
    first = min(round(start * count), count - 1)
    return slice(first, min(count, max(first + 1, round((start + length) * count))))
