"""An atlas: its rows, each a file that is there whole or not at all."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecnn import strict_json, zoo
from edgecnn.arguments import at_least
from edgecnn.atomic import write_file
from edgecnn.charting.measuring import Progress, measure, speed_and_memory
from edgecnn.charting.recipe import Recipe
from edgecnn.data import open_source
from edgecnn.errors import DataError, EdgeCnnError
from edgecnn.on_ray import cluster, each
from edgecnn.training.settings import Settings

OUT = Path("atlas")
MAX_DROP = 1.0


@dataclass(frozen=True)
class Atlas:
    """Rows by one recipe, the network of fewest operations first."""

    folder: Path
    recipe: Recipe
    rows: tuple[dict[str, Any], ...]
    refused: dict[str, str]
    """Networks that the recipe does not fit, and why."""

    def to_json(self) -> dict[str, Any]:
        """As `edgecnn atlas --json` prints it; the recipe once."""
        rows = [{k: v for k, v in row.items() if k != "recipe"} for row in self.rows]
        return {"recipe": self.recipe.to_json(), "rows": rows, "refused": self.refused}


def atlas(
    data: str | Path,
    architectures: Sequence[str] = (),
    *,
    out: Path | str = OUT,
    max_drop: float = MAX_DROP,
    measure_again: bool = False,
    ray: str | None = None,
    progress: Progress = lambda _: None,
    **settings: Any,
) -> Atlas:
    """Train, export and measure networks by one recipe; `out` keeps a row of each.

    `data` is a source with test pictures, as `edgecnn.data` describes; `architectures` are by
    default all of the zoo, those of fewest operations first. `settings` are the fields of
    `edgecnn.training.Settings`. `out` has `<architecture>.json` for each finished row, which is
    not made again, and the runs and bundles, which are taken up where they were left. With
    `measure_again` the latencies and memory of finished rows are measured anew, say on a machine
    that is now quiet. Where int8 loses more than `max_drop` points of top-1 on the run's held-out
    pictures, the repair ladder is climbed. With `ray`, the address of a Ray cluster (`auto`,
    `local`), each row is made on a node, which finds `data` and `out` at the same paths.

    Raises `DataError` where rows of another recipe are there, or the source has no test pictures.
    """
    at_least("max_drop", max_drop, 0, whole=False)
    chosen = Settings(**settings)
    names = sorted(architectures or zoo.names(), key=lambda name: zoo.get(name).figures.macs)
    source = open_source(
        data, split=chosen.split, split_seed=chosen.split_seed, skip_bad=chosen.skip_bad
    )
    if not len(source.test):
        raise DataError(f"{data} has no test pictures to judge the networks by.")
    recipe, out = Recipe(str(data), source.sha256, chosen, max_drop), Path(out)
    known = {name: row for name in names if (row := _read(out / f"{name}.json", recipe))}
    todo = [name for name in names if name not in known or measure_again]
    refused: dict[str, str] = {}
    for name, found in _made(Work(recipe, out.absolute(), frozenset(known)), todo, ray, progress):
        if isinstance(found, str):
            refused[name] = found
            continue
        known[name] = known.get(name, {}) | found
        _write(out / f"{name}.json", known[name])
    rows = tuple(known[name] for name in names if name in known)
    return Atlas(out, recipe, rows, refused)


@dataclass(frozen=True)
class Work:
    """What makes a row of a network's name, here or on another machine."""

    recipe: Recipe
    folder: Path
    known: frozenset[str]
    """Networks whose latency and memory alone are measured."""

    def row(self, name: str, progress: Progress) -> dict[str, Any] | str:
        """The row, or what is new in it; why there is none where the recipe does not fit."""
        try:
            if name in self.known:
                return speed_and_memory(name, self.folder, progress)
            return measure(name, self.recipe, self.folder, progress)
        except EdgeCnnError as error:
            return str(error)


def _made(
    work: Work, names: Sequence[str], ray: str | None, progress: Progress
) -> Iterator[tuple[str, dict[str, Any] | str]]:
    if ray is None:
        yield from ((name, work.row(name, progress)) for name in names)
        return
    with cluster(ray) as connected:
        nodes = [int(node["Resources"].get("CPU", 0)) for node in connected.nodes()]
        # A whole node, of the smallest that has any cores: two rows at once would disturb each
        # other's latencies.
        for name, row in each(connected, _on_node, work, names, min(filter(None, nodes))):
            progress(f"{name}: {'no row' if isinstance(row, str) else 'done'}")
            yield name, row


def _on_node(work: Work, name: str) -> dict[str, Any] | str:
    return work.row(name, lambda _: None)


def _read(file: Path, recipe: Recipe) -> dict[str, Any] | None:
    """A finished row; None where there is none. Raises `DataError` for one of another recipe."""
    try:
        row = strict_json.read(file)
        strict_json.typed(row, architecture=str)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"{file} cannot be read: {error}. Remove it to make that row anew."
        ) from None
    recipe.refuse_others(row, str(file))
    return dict(row)


def _write(file: Path, row: dict[str, Any]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, [json.dumps(row, indent=1).encode() + b"\n"])
    except OSError as error:
        raise EdgeCnnError(f"Cannot write {file}: {error.strerror}.") from None
