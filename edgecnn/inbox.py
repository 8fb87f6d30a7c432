"""Frames worth labelling, as `edgecnn run --collect` keeps them and `edgecnn pull` brings them.

    DIR/frames/SHA256.jpg     the pictures, named by the beginning of their bytes' hash
    DIR/frames.jsonl          a JSON line for each: `Kept`
    DIR/labels.csv            what people said they show, written by `edgecnn label`

docs/collecting.md is this for people.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

from edgecnn import strict_json
from edgecnn.errors import DataError

FRAMES = "frames"
LINES = "frames.jsonl"
Why = Literal["random", "uncertain", "novel", "flicker", "shadow"]
WHYS: tuple[Why, ...] = get_args(Why)
DIGITS = 24
"""Of the hash, in a picture's name."""
FILE = re.compile(rf"{FRAMES}/[0-9a-f]{{{DIGITS}}}\.(?:jpg|png)")
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Kept:
    """A frame that was kept, and what the network said about it."""

    file: str
    """Relative to the folder."""
    sha256: str
    """Of the file's bytes."""
    time: str
    """Of the capture, ISO 8601, UTC."""
    bundle: str
    """`Bundle.version` of the network that answered."""
    label: str
    """Its answer; of labels that each hold or not all that do, with `|` between them."""
    probability: float
    """That of the most probable label."""
    probabilities: Mapping[str, float]
    """Of the most probable labels."""
    why: Why
    """`random`: of the random stream, which is there to estimate accuracy; else what makes it worth
    a label."""
    moment: str
    """Frames of one moment look alike: they stay on one side of every split."""
    inclusion: float | None = None
    """How probable it was to be kept; of `random` only, where it is always known."""
    region: tuple[float, float, float, float] | None = None
    """The part of the camera's frame that this is: left, top, width, height, in fractions."""
    board: str | None = None
    """Where it was pulled from, `USER@HOST`; not known on the board itself."""

    def __post_init__(self) -> None:
        strict_json.typed(
            vars(self), file=str, sha256=str, time=str, bundle=str, label=str, moment=str
        )
        if not (FILE.fullmatch(self.file) and SHA256.fullmatch(self.sha256)):
            raise ValueError(f"{self.file!a:.60} is no kept picture's name, or has no hash")
        if Path(self.file).stem != self.sha256[:DIGITS]:
            raise ValueError(f"{self.file} is not named by its hash")
        if self.why not in WHYS:
            raise ValueError(f"it was kept as {self.why!a:.40}: known are {', '.join(WHYS)}")
        if (self.inclusion is None) == (self.why == "random"):
            raise ValueError("a frame of the random stream has its inclusion, and no other has")
        if not all(map(_is_share, (self.probability, *self.probabilities.values()))):
            raise ValueError("a probability lies between 0 and 1")
        if self.inclusion is not None and not (_is_share(self.inclusion) and self.inclusion > 0):
            raise ValueError("an inclusion lies above 0, and at 1 at most")

    @classmethod
    def from_json(cls, found: Any) -> Self:
        """As `to_json` gives it; raises `TypeError` or `ValueError` for anything else."""
        strict_json.typed(found, probabilities=dict, region=list, board=str)
        if (region := found.get("region")) is not None:
            if len(region) != 4 or not all(map(_is_share, region)):
                raise ValueError("a region is four fractions")
            found = found | {"region": tuple(region)}
        return cls(**found)

    def to_json(self) -> dict[str, Any]:
        """A line of `frames.jsonl`; what is not known is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def random(self) -> bool:
        """Whether it is of the random stream."""
        return self.why == "random"


def _is_share(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and 0 <= value <= 1


def is_inbox(folder: Path) -> bool:
    """Whether a folder is one of kept frames."""
    return (folder / LINES).is_file()


def read(folder: Path) -> list[Kept]:
    """The frames of a folder whose pictures are there, in the order they were kept.

    Raises `DataError` for a folder that is none of kept frames, and for a line that says anything
    else; a last line that a power cut tore off is left out.
    """
    path = folder / LINES
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{folder} holds no kept frames, which --collect and pull bring: {error.strerror} "
            f"({LINES})."
        ) from None
    try:
        found = parse(data)
    except ValueError as error:
        raise DataError(f"{path}, {error}.") from None
    return [kept for kept in found if (folder / kept.file).is_file()]


def parse(data: bytes) -> list[Kept]:
    """The frames of `frames.jsonl`'s whole lines, each once; raises `ValueError` with the line.

    Of the random stream is what any of its lines says is of it: see `Collection.add`.
    """
    found: dict[str, Kept] = {}
    # What stands behind the last line's end was torn off.
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        try:
            kept = Kept.from_json(strict_json.parse(line))
        except (TypeError, ValueError) as error:
            raise ValueError(f"line {number}: {error}") from None
        if kept.file not in found or (kept.random and not found[kept.file].random):
            found[kept.file] = kept
    return list(found.values())
