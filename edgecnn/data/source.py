"""What a reader of one kind of data set returns, before it is divided and checked."""

from dataclasses import dataclass
from pathlib import Path

from edgecnn.data.dataset import Split

WHOLE = "all"


@dataclass(frozen=True)
class Source:
    """Labelled pictures as they were found."""

    labels: tuple[str, ...]
    splits: dict[str, Split]
    """`train`, `val` and `test` as far as the source has them, or `all` where it has none."""
    skipped: tuple[Path, ...] = ()
    """Files left out because they are no pictures."""
