"""`edgecnn evaluate`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.table import Table

    from edgecnn.export.evaluate import Evaluation


@click.command("evaluate")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--data", "source", required=True, metavar="DIR|CSV|NAME", help="Labelled pictures.")
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    help="Keras file of the float network, where it is no longer where export found it.",
)
@click.option("--threads", type=click.IntRange(1), help="All cores by default.")
@click.option("--json", "as_json", is_flag=True, help="Result as JSON on stdout.")
def command(
    bundle: Path, source: str, reference: Path | None, threads: int | None, as_json: bool
) -> None:
    """Accuracy of a bundle in every runtime, beside the float network.

    \b
    edgecnn evaluate exports/lenet5-int8 --data digits
    edgecnn evaluate exports/resnet34-int8 --data pictures/    # a subfolder for each class
    edgecnn evaluate exports/resnet34-int8 --data labels.csv   # columns file,label
    edgecnn evaluate exports/tagger-int8 --data labels.csv     # with labels such as car|person
    """
    from edgecnn.export.evaluate import evaluate

    found = evaluate(bundle, source, reference=reference or True, threads=threads)
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


def _promises(found: "Evaluation") -> "Table":
    """What became of what the bundle says of its answers."""
    from rich.table import Table

    table = Table(title="what its answers are worth, 95% intervals", title_justify="left")
    table.add_column("runtime")
    for column in ("calibration error (ECE)", "raw"):
        table.add_column(column, justify="right")
    most = max((result.promises.coverage for result in found.results.values()), key=len)
    for covered in most:
        table.add_column(f"{covered.share:.0%} coverage", justify="right")
    for format, result in found.results.items():
        promises = result.promises
        errors = [
            "" if error is None else f"{error.error:.3f} [{_range(error.interval, '.3f')}]"
            for error in (promises.calibrated, promises.raw)
        ]
        coverage = [
            f"{covered.covered:.1%} [{_range(covered.interval, '.1%')}]\n"
            f"{covered.labels:.2f} labels, {covered.unknown:.1%} unknown"
            for covered in promises.coverage
        ]
        table.add_row(f"{result.runtime} ({format})", *errors, *coverage)
    return table


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
