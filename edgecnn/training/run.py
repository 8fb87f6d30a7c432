"""A training run: its folder, from the first picture to the finished checkpoint.

runs/<architecture>-<time>/
    run.json            what it was told; with state/, enough to resume it
    state/              weights after the last and the best epoch; removed at the end
    pictures/           prepared pictures, where they are more than memory; removed too
    places.csv          which pictures it was trained and tested on
    history.csv  curves.png  confusion.png  misclassified.png
    model.keras  labels.txt  calibration/  checkpoint.json
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from edgecnn import strict_json
from edgecnn.checkpoint import MANIFEST, RUNS
from edgecnn.errors import UNREADABLE, DataError, EdgeCnnError
from edgecnn.training.settings import Settings

RUN = "run.json"
STATE_FOLDER = "state"
PICTURES_FOLDER = "pictures"


@dataclass(frozen=True)
class Run:
    """A run's folder and what it was told."""

    path: Path
    architecture: str
    sources: tuple[str, ...]
    """Where its pictures come from."""
    settings: Settings
    dataset_sha256: str
    qat: dict[str, Any] | None = None
    """Of quantisation-aware training: whose integers they are, and what it takes and answers."""
    start: str | None = None
    """The run that it goes on from with other pictures."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read `run.json`; raises `DataError` if it is not there or not readable."""
        file = path / RUN
        try:
            data = strict_json.read(file)
            strict_json.typed(data, architecture=str, source=str, dataset_sha256=str, start=str)
            strict_json.typed(data, sources=list)
            if "source" in data:  # runs of before had one
                data["sources"] = [data["source"]]
            return cls(
                path,
                data["architecture"],
                tuple(map(str, data["sources"])),
                Settings.from_json(data["settings"]),
                data["dataset_sha256"],
                data.get("qat"),
                data.get("start"),
            )
        except OSError as error:
            raise DataError(f"{path} is no training run: {file.name}: {error.strerror}.") from None
        except (EdgeCnnError, *UNREADABLE) as error:
            raise DataError(f"{file} is not readable: {error!r}. Train again.") from None

    @property
    def source(self) -> str:
        """All its sources, for people."""
        return " + ".join(self.sources)

    def write(self) -> None:
        """Make the folder and write `run.json`."""
        content = {
            "architecture": self.architecture,
            "sources": self.sources,
            "settings": self.settings.to_json(),
            "dataset_sha256": self.dataset_sha256,
            "started_at": now(),
        }
        if self.qat is not None:
            content["qat"] = self.qat
        if self.start is not None:
            content["start"] = self.start
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / RUN).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise DataError(
                f"Cannot write to {self.path}: {error.strerror}. Choose another --out."
            ) from None

    def refuse_if_changed(self, dataset_sha256: str) -> None:
        """Raise `DataError` where the pictures are others than when the run began."""
        if dataset_sha256 != self.dataset_sha256:
            raise DataError(
                f"The pictures of {self.source} were changed since {self.path} began: train again."
            )


def refuse_if_used(path: Path) -> None:
    """Raise `EdgeCnnError` where a new run could not have the folder to itself."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise EdgeCnnError(
            f"{path} is not empty: choose another --out, or go on with a run by --resume."
        )


def now() -> str:
    """Time of now, UTC, as it stands in manifests."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def new_folder(architecture: str) -> Path:
    """`runs/<architecture>-<time>`, of a name that is not taken."""
    stem = f"{architecture}-{datetime.now():%Y%m%d-%H%M%S}"
    path, number = RUNS / stem, 1
    while path.exists():
        number += 1
        path = RUNS / f"{stem}-{number}"
    return path


def newest_unfinished(architecture: str) -> Path:
    """The run of that architecture begun last and not finished; raises `DataError` if none."""
    begun = [
        path.parent
        for path in RUNS.glob(f"{architecture}-*/{RUN}")
        if not (path.parent / MANIFEST).is_file()
    ]
    if not begun:
        raise DataError(
            f"No unfinished run of {architecture} in {RUNS}/: train without --resume, or name the "
            "run's folder with --out."
        )
    return max(begun, key=lambda path: (path / RUN).stat().st_mtime)
