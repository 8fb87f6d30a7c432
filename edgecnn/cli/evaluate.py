"""`edgecnn evaluate`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
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
    """
    from edgecnn.export.evaluate import evaluate
    from edgecnn.quiet import import_keras

    import_keras()
    found = evaluate(bundle, source, reference=reference or True, threads=threads)
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=1))
    else:
        show(found)


def show(found: "Evaluation") -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{found.count} pictures of {found.data}", title_justify="left")
    table.add_column("runtime")
    for column in ("top-1", "top-5", "agreement", "top-1 drop, 95% interval"):
        table.add_column(column, justify="right")
    if found.reference is not None:
        table.add_row(
            "Keras float32", f"{found.reference.top1:.2%}", f"{found.reference.top5:.2%}", "", ""
        )
    for format, result in found.results.items():
        agreement = drop = ""
        if result.comparison is not None and result.drop is not None:
            low, high = result.drop.interval
            agreement = f"{result.comparison.agreement_top1:.2%}"
            drop = f"{result.drop.top1_drop:.2f} pt [{low:.2f}, {high:.2f}]"
        accuracy = result.accuracy
        table.add_row(
            f"{result.runtime} ({format})",
            f"{accuracy.top1:.2%}",
            f"{accuracy.top5:.2%}",
            agreement,
            drop,
        )
    Console().print(table)
