"""Which split each picture belongs to, for ever: `places.csv` of a training run.

A network that goes on from another must not be tested on what that one was trained on. So a run
writes down the place of every picture by the hash of its bytes, with those that the runs before it
knew, and a picture keeps its place whatever is added, renamed or moved. Its moment keeps it too:
a later frame of the same moment goes where the others are.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from edgecnn.data.dataset import Dataset
from edgecnn.errors import DataError

FILE = "places.csv"
COLUMNS = ("sha256", "moment", "split", "label")
SPLITS = ("train", "val", "test")


class Place(NamedTuple):
    """Where a picture is."""

    moment: bytes
    """What it shares with pictures of the same moment; else its own hash."""
    split: str
    label: str


@dataclass(frozen=True)
class Places:
    """The place of each picture, by its hash."""

    of: dict[bytes, Place]

    @classmethod
    def load(cls, run: Path) -> Self:
        """Those that a run wrote; raises `DataError` where it wrote none."""
        path = run / FILE
        try:
            with path.open(newline="", encoding="utf-8") as stream:
                rows = csv.DictReader(stream)
                found = {
                    bytes.fromhex(row["sha256"]): Place(
                        bytes.fromhex(row["moment"] or row["sha256"]), row["split"], row["label"]
                    )
                    for row in rows
                }
        except OSError as error:
            raise DataError(
                f"{run} does not say which pictures it was tested on ({FILE}: {error.strerror}): "
                "train it once more, and go on from there."
            ) from None
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise DataError(f"{path} is not readable ({error!r}): copy the run again.") from None
        if unknown := {place.split for place in found.values()} - set(SPLITS):
            raise DataError(f"{path} knows no split '{min(unknown)}': copy the run again.")
        return cls(found)

    @classmethod
    def now(cls, dataset: Dataset, before: "Places | None" = None) -> Self:
        """Those of a data set, and of the pictures known before that are not in it."""
        return cls((before.of if before else {}) | dict(_of(dataset)))

    @property
    def learned(self) -> frozenset[bytes]:
        """Pictures that a network was fitted to, or its best epoch chosen by; and their moments."""
        return frozenset(
            one
            for digest, place in self.of.items()
            if place.split != "test"
            for one in (digest, place.moment)
        )

    def splits(self) -> dict[bytes, str]:
        """The split of each picture, and of each moment."""
        moments = {place.moment: place.split for place in self.of.values()}
        return moments | {digest: place.split for digest, place in self.of.items()}

    def write(self, run: Path) -> None:
        """Write `places.csv`."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for digest, place in self.of.items():
            moment = "" if place.moment == digest else place.moment.hex()
            writer.writerow((digest.hex(), moment, place.split, place.label))
        (run / FILE).write_text(text.getvalue(), encoding="utf-8")


def _of(dataset: Dataset) -> Iterator[tuple[bytes, Place]]:
    # Test last: of a picture that a source has in two splits it says the more careful.
    for name in reversed(SPLITS):
        split = getattr(dataset, name)
        for digest, moment, target in zip(
            split.digests, split.moments, split.targets.tolist(), strict=True
        ):
            yield digest, Place(moment, name, dataset.labels[target])
