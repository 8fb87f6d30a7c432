"""What a run has reached so far, on disk after every epoch, so that it can be killed at any time.

`state.json` is the point of commitment: it names the weights files that belong to it, is
replaced in one step, and only then are older files removed.
"""

import csv
import json
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from edgecnn import strict_json
from edgecnn.errors import UNREADABLE, DataError

if TYPE_CHECKING:
    import keras

STATE = "state.json"
COLUMNS = (
    *("epoch", "phase", "loss", "accuracy", "val_loss", "val_accuracy"),
    *("learning_rate", "seconds"),
)

Row = dict[str, Any]


@dataclass
class RunState:
    """The history of a run and the weights of its last and its best epoch."""

    folder: Path
    phase: int = 0
    """Index of the phase that is running, or is next."""
    history: list[Row] = field(default_factory=list)
    """A row an epoch, with the keys `COLUMNS`; `epoch` counts from 1."""
    last: str | None = None
    """File with the weights and optimizer state after the last epoch."""
    best: str | None = None
    best_epoch: int = 0

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The state in that folder, or that of a run which has not begun."""
        file = folder / STATE
        if not file.is_file():
            return cls(folder)
        try:
            found = strict_json.read(file)
            _check(found)
            return cls(folder, **found)
        except UNREADABLE as error:
            raise DataError(
                f"{file} is not readable ({error}): remove the run and train again."
            ) from None

    def moved_to(self, folder: Path) -> Self:
        """The same state, to be kept elsewhere from now on."""
        folder.mkdir(parents=True)
        for name in {self.last, self.best} - {None}:
            shutil.copyfile(self.weights_file(name), folder / str(name))
        return replace(self, folder=folder)

    def record(self, row: Row, graph: "keras.Model") -> None:
        """Add an epoch, and keep its weights and whether they are the best so far."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.last = f"epoch-{row['epoch']:04d}.weights.h5"
        graph.save_weights(self.folder / self.last)
        self.history.append(row)
        best = self.history[self.best_epoch - 1] if self.best_epoch else None
        if best is None or self.rank(row) > self.rank(best):
            self.best, self.best_epoch = self.last, row["epoch"]
        self._commit()

    def rank(self, row: Row) -> tuple[float, ...]:
        """By what epochs are compared: larger is better."""
        return row["val_accuracy"], -row["val_loss"]

    def begin_phase(self, phase: int) -> None:
        """The phase before is over."""
        self.phase = phase
        self._commit()

    def epochs_of_phase(self, name: str) -> int:
        """Epochs that a phase has behind it."""
        return sum(row["phase"] == name for row in self.history)

    def epochs_without_gain(self, phase: str) -> int:
        """Epochs of this phase since the best one."""
        return min(len(self.history) - self.best_epoch, self.epochs_of_phase(phase))

    def weights_file(self, name: str | None) -> Path:
        """Path of `last` or `best`."""
        if name is None or not (self.folder / name).is_file():
            raise DataError(
                f"{self.folder} has lost its weights {name or ''}: remove the run, train again."
            )
        return self.folder / name

    def _commit(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {k: v for k, v in asdict(self).items() if k != "folder"}
        unfinished = self.folder / f".{STATE}"
        unfinished.write_text(json.dumps(content), encoding="utf-8")
        unfinished.rename(self.folder / STATE)
        for file in self.folder.glob("*.weights.h5"):
            if file.name not in (self.last, self.best):
                file.unlink()


def write_history(path: Path, history: list[Row]) -> None:
    """`history.csv`: a line an epoch."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(history)


def _check(found: Any) -> None:
    """Raise what `UNREADABLE` lists where a state is none that `RunState` has written."""
    strict_json.typed(found, phase=int, history=list, best_epoch=int)
    for name in ("last", "best"):
        if found[name] is not None and Path(found[name]).name != found[name]:
            raise ValueError(f"{found[name]!a} is no file of it")
    if not 0 <= found["best_epoch"] <= len(found["history"]):
        raise ValueError(f"it has no epoch {found['best_epoch']}")
    for row in found["history"]:
        if row.keys() != set(COLUMNS):
            raise ValueError(f"an epoch has {', '.join(map(ascii, row))}")
        strict_json.typed(row, **dict.fromkeys(COLUMNS, float) | {"epoch": int, "phase": str})
