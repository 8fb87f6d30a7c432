"""`edgecnn evaluate`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecnn.binomial import interval
from edgecnn.cli.options import THREADS, ray_option, reference_option, self_check_option

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from edgecnn.export.evaluate import Evaluation
    from edgecnn.export.thresholds import Share, Thresholds

LARGEST_MATRIX = 12
"""Labels that a terminal has room for."""
MISTAKES = 5


@click.command("evaluate")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--data", "source", required=True, metavar="DIR|CSV|NAME", help="Labelled pictures.")
@reference_option
@click.option("--threads", type=THREADS, help="All cores by default.")
@click.option(
    "--thresholds",
    is_flag=True,
    help="Also precision and recall by threshold and by label, and what is taken for what.",
)
@self_check_option
@ray_option
@click.option("--json", "as_json", is_flag=True, help="Result as JSON on stdout.")
def command(
    bundle: Path,
    source: str,
    reference: Path | None,
    threads: int | None,
    thresholds: bool,
    self_check: bool,
    ray: str | None,
    as_json: bool,
) -> None:
    """Accuracy of a bundle in every runtime, beside the float network.

    Any number of pictures; if it is interrupted, the same command goes on from there.

    \b
    edgecnn evaluate exports/lenet5-int8 --data digits
    edgecnn evaluate exports/resnet34-int8 --data pictures/    # a subfolder for each class
    edgecnn evaluate exports/resnet34-int8 --data labels.csv   # columns file,label
    edgecnn evaluate exports/tagger-int8 --data labels.csv     # with labels such as car|person
    edgecnn evaluate exports/flowers-int8 --data flowers/ --thresholds
    edgecnn evaluate exports/resnet34-int8 --data labels.csv --ray auto
    """
    from edgecnn.cli.progress import PictureProgress
    from edgecnn.export.evaluate import evaluate

    with PictureProgress() as progress:
        found = evaluate(
            bundle,
            source,
            reference=reference or True,
            threads=threads,
            thresholds=thresholds,
            self_check=self_check,
            ray=ray,
            progress=progress,
        )
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=1))
    else:
        show(found)


def show(found: "Evaluation") -> None:
    """Print the table, with the columns that the network's head has figures for."""
    from rich.console import Console
    from rich.table import Table

    columns = COLUMNS[found.head.kind]
    table = Table(title=f"{found.count} pictures of {found.data}", title_justify="left")
    table.add_column("runtime")
    for column in (*columns, f"{next(iter(columns))} drop, 95% interval"):
        table.add_column(column, justify="right")
    if found.reference is not None:
        table.add_row("Keras float32", *_shares(found.reference.to_json(), columns), "")
    for format, result in found.results.items():
        drop = ""
        if result.drop is not None:
            low, high = result.drop.interval
            drop = f"{result.drop.top1_drop:.2f} pt [{low:.2f}, {high:.2f}]"
        shares = _shares(result.to_json(), columns)
        table.add_row(f"{result.runtime} ({format})", *shares, drop)
    console = Console()
    console.print(table)
    console.print(_promises(found))
    for result in found.results.values():
        if result.thresholds is not None:
            _show_thresholds(console, result.runtime, result.thresholds)


def _promises(found: "Evaluation") -> "Table":
    """What became of what the bundle says of its answers."""
    from rich.table import Table

    table = Table(title="what its answers are worth", title_justify="left")
    for column in ("runtime", "promise", "found", "95% interval", "labels", "unknown"):
        table.add_column(column)
    for result in found.results.values():
        promises = result.promises
        for name, error in (("", promises.calibrated), (" raw", promises.raw)):
            if error is not None:
                ends = _range(error.interval, ".3f")
                table.add_row(result.runtime, f"error (ECE){name}", f"{error.error:.3f}", ends)
        least = promises.calibrated or promises.raw
        table.add_row(result.runtime, "ECE by chance", f"{least.chance:.3f}")
        for covered in promises.coverage:
            table.add_row(
                result.runtime,
                f"--coverage {covered.share:.0%}",
                f"{covered.covered:.1%}",
                _range(covered.interval, ".1%"),
                f"{covered.labels:.2f}",
                f"{covered.unknown:.1%}",
            )
    return table


def _show_thresholds(console: "Console", runtime: str, found: "Thresholds") -> None:
    from rich.table import Table

    # Of a thousand labels, those that are missed most.
    known = [item for item in found.labels.items() if item[1].recall.count]
    labels = known
    if len(known) > LARGEST_MATRIX:
        labels = sorted(known, key=lambda item: item[1].recall.value or 0)[:LARGEST_MATRIX]
    for title, rows in (
        (f"{runtime}: by --threshold", {f"{t:g}": judged for t, judged in found.at.items()}),
        (f"{runtime}: by label", dict(labels)),
    ):
        table = Table(title=f"{title}, 95% intervals", title_justify="left")
        table.add_column(title.rpartition("by ")[2], overflow="fold")
        for column in ("said", "of these right (precision)", "true", "of these said (recall)"):
            table.add_column(column, justify="right")
        for name, judged in rows.items():
            table.add_row(
                name,
                *(str(judged.precision.count), _share(judged.precision)),
                *(str(judged.recall.count), _share(judged.recall)),
            )
        console.print(table)
    if found.confusion is None:
        return
    names = found.confusion.names
    if len(names) <= LARGEST_MATRIX:
        table = Table(title=f"{runtime}: what is taken for what", title_justify="left")
        table.add_column("true ↓ said →", overflow="fold")
        for name in names:
            table.add_column(name, justify="right", overflow="fold")
        for name, row in zip(names, found.confusion.counts.tolist(), strict=True):
            table.add_row(name, *map(str, row))
        console.print(table)
    for true, said, count in found.confusion.most(MISTAKES):
        console.print(f"{runtime}: {true} taken for {said}: {count}", highlight=False)


def _share(share: "Share") -> str:
    if share.value is None:
        return ""
    return f"{share.value:.1%} [{_range(interval(share.hits, share.count), '.1%')}]"


def _range(interval: tuple[float, float], form: str) -> str:
    return ", ".join(format(end, form) for end in interval)


def _shares(figures: dict[str, Any], columns: dict[str, str]) -> list[str]:
    return [f"{figures[key]:.2%}" if key in figures else "" for key in columns.values()]


COLUMNS = {
    "softmax": {"top-1": "top1", "top-5": "top5", "agreement": "agreement_top1"},
    "binary": {"accuracy": "top1", "F1": "f1", "agreement": "agreement_top1"},
    "sigmoid": {
        "all labels": "top1",
        "each label": "labels",
        "mean F1": "f1",
        "agreement": "agreement_top1",
    },
}
"""The columns of the table by head, and the key of each figure in the JSON."""
