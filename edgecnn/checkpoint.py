"""A checkpoint: a trained `.keras` file plus everything that export needs.

    runs/<architecture>-<time>/
        model.keras
        places.csv          which pictures it was trained and tested on
        checkpoint.json     architecture, preprocessing, labels, versions, figures
        labels.txt          a class a line
        calibration/        pictures of the training split, and held-out ones of another
        int8.safetensors    of quantisation-aware training: the integers that export writes
        history.csv, ...    what else training writes

Moving the folder breaks nothing: every path in it is relative.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from edgecnn import strict_json
from edgecnn.bundle import Bundle, Weights, file_sha256
from edgecnn.errors import UNREADABLE, BundleError, DataError, require
from edgecnn.labels import LABELS, read_labels, write_labels
from edgecnn.preprocessing import Preprocessing

if TYPE_CHECKING:
    import keras

SCHEMA = 1
MANIFEST = "checkpoint.json"
MODEL = "model.keras"
CALIBRATION = "calibration"
INTEGERS = "int8.safetensors"
RUNS = Path("runs")


@dataclass(frozen=True)
class Checkpoint:
    """A finished training run."""

    path: Path
    architecture: str
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    created_at: str
    details: dict[str, Any]
    """Data source, figures and versions, as in `checkpoint.json`."""

    @property
    def calibration(self) -> Path:
        """The calibration set made of the run's own pictures."""
        return self.path / CALIBRATION

    @property
    def integers(self) -> Path | None:
        """What quantisation-aware training found; raises `DataError` where it was changed since."""
        if "qat" not in self.details:
            return None
        file = self.path / INTEGERS
        if not file.is_file() or file_sha256(file) != self.details["qat"]["sha256"]:
            raise DataError(f"{file} is missing or was changed since it was trained: train anew.")
        return file

    def weights(self) -> Weights:
        """What reports say of these weights."""
        return Weights("trained", self.path.name, file_sha256(self.path / MODEL))

    def load_model(self) -> "keras.Model":
        """The Keras model; raises `DataError` if the file is broken."""
        keras = require("keras", what="Reading a checkpoint", package="Keras", extra="train")
        import edgecnn.layers  # noqa: F401 (registers what Keras could not find otherwise)

        try:
            return keras.saving.load_model(self.path / MODEL, compile=False)
        except (ValueError, OSError) as error:
            raise DataError(f"{self.path / MODEL} cannot be read: {error}") from None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a checkpoint folder (or its `model.keras`); raises `DataError` if it is not one."""
        folder = path.parent if path.is_file() else path
        manifest_file = folder / MANIFEST
        if not manifest_file.is_file() or not (folder / MODEL).is_file():
            raise DataError(
                f"{path} is no checkpoint: a folder with {MODEL} and {MANIFEST}, as "
                "`edgecnn train` writes."
            )
        try:
            manifest = strict_json.read(manifest_file)
            strict_json.typed(manifest, architecture=str, created_at=str, qat=dict, test=dict)
            strict_json.typed(manifest.get("qat", {}), sha256=str)
            strict_json.typed(manifest.get("test", {}), top1=float)
            return cls(
                path=folder,
                architecture=manifest["architecture"],
                preprocessing=Preprocessing.from_json(manifest["preprocessing"]),
                labels=read_labels(folder / LABELS),
                created_at=manifest["created_at"],
                details=manifest,
            )
        except (BundleError, *UNREADABLE) as error:
            raise DataError(
                f"{manifest_file} is not readable: {error!r}. Copy the run again, or train anew."
            ) from None

    def write(self) -> None:
        """Write `labels.txt` and, last, `checkpoint.json`: only a finished run has one."""
        write_labels(self.path / LABELS, self.labels)
        manifest = {
            **self.details,
            "schema": SCHEMA,
            "architecture": self.architecture,
            "preprocessing": self.preprocessing.to_json(),
            "created_at": self.created_at,
        }
        unfinished = self.path / f".{MANIFEST}"
        unfinished.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        unfinished.rename(self.path / MANIFEST)


def newest(architecture: str, runs: Path = RUNS) -> Checkpoint | None:
    """The newest finished run of an architecture, or None."""
    found = [Checkpoint.load(path.parent) for path in runs.glob(f"{architecture}-*/{MANIFEST}")]
    mine = [c for c in found if c.architecture == architecture]
    return max(mine, key=lambda c: c.created_at, default=None)


def training_of(run: Checkpoint) -> dict[str, Any]:
    """What led to a run's weights, in brief: the pictures, and the run it went on from."""
    details = run.details
    data = details.get("data", {})
    said = {
        "created_at": run.created_at,
        "data": {key: data[key] for key in ("sources", "sha256", "counts") if key in data},
    }
    if "from" in details:
        # Where it was here says nothing elsewhere.
        said["from"] = {k: v for k, v in details["from"].items() if k != "path"}
    for key in ("test", "comparison"):
        found = {k: v for k, v in details.get(key, {}).items() if not isinstance(v, dict | list)}
        said |= {key: found} if found else {}
    return said


def lineage(run: Checkpoint) -> list[dict[str, Any]]:
    """A run and those it went on from, as far as they are here, the oldest first."""
    found: list[dict[str, Any]] = []
    step: Checkpoint | None = run
    while step is not None:
        found.insert(
            0,
            {
                "did": "train",
                "at": step.created_at,
                "run": step.path.name,
                "sha256": step.weights().sha256,
                "training": training_of(step),
            },
        )
        start = step.details.get("from", {})
        here = [Path(start["path"]), RUNS / start["run"]] if start else []
        there = [path for path in here if (path / MANIFEST).is_file()]
        step = Checkpoint.load(there[0]) if there else None
        if step is not None and step.weights().sha256 != start["sha256"]:
            step = None
    return found


def origin_of(bundle: Bundle, way_out: str = "bring its run back") -> Path:
    """Where a bundle's network was at export, seen from it; else among the training runs here.

    A run's folder or a Keras file. Raises `DataError`, with the way out, where it is in neither.
    """
    said: dict[str, Any] = bundle.manifest.get("reference", {})
    places = [bundle.path / str(said["file"])] if "file" in said else []
    places.append(RUNS / bundle.weights.source)
    for place in places:
        if place.exists():
            return place
    raise DataError(f"{bundle.weights.source} is not here: {way_out}.")
