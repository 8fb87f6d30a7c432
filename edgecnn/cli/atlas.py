"""`edgecnn atlas`."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecnn.cli.options import Number, ray_option
from edgecnn.cli.train import InputShape, setting
from edgecnn.errors import CheckFailed

if TYPE_CHECKING:
    from edgecnn.charting import Atlas


@click.command()
@click.argument("architectures", metavar="[ARCH]...", nargs=-1)
@click.option("--data", required=True, metavar="SOURCE", help="As in `edgecnn train`.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("atlas"),
    show_default=True,
    help="Folder of the rows, which are not made again, and of runs and bundles.",
)
@setting("epochs", "Passes over the training pictures.")
@setting("batch_size", "Pictures in a batch.")
@setting("augment", "Random changes to training pictures.")
@setting("weights", "random, or imagenet.")
@click.option(
    "--input",
    "input_shape",
    type=InputShape(),
    help="Input of every network. [default: as published]",
)
@setting("seed", "Seed of weights, order and augmentation.")
@click.option(
    "--max-drop",
    type=Number(0),
    default=1.0,
    show_default=True,
    metavar="POINTS",
    help="Points of top-1 that int8 may lose before it is repaired.",
)
@click.option(
    "--measure-again",
    is_flag=True,
    help="Measure latency and memory of finished rows anew, on a quiet machine.",
)
@click.option(
    "--markdown", type=click.Path(path_type=Path, dir_okay=False), help="Write the tables."
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="SVG|PNG",
    help="Draw accuracy over latency.",
)
@ray_option
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def command(
    architectures: tuple[str, ...],
    data: str,
    out: Path,
    max_drop: float,
    measure_again: bool,
    markdown: Path | None,
    picture: Path | None,
    ray: str | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Every architecture by one recipe: trained, quantised, measured.

    For each network, those of fewest operations first: accuracy in float and int8, latency and
    memory in each engine of this machine, memory as predicted, and which repair int8 needed. A
    row is kept as soon as it is finished: the same command goes on where it was ended. The exit
    code is 1 where the recipe does not fit a network, which the tables name.

    \b
    edgecnn atlas --data fashion_mnist --input 32x32x1 --epochs 3
    edgecnn atlas lenet5 mobilenet_v2 --data digits --input 32x32x1 --epochs 2
    edgecnn atlas --data digits --input 32x32x1 --out /mnt/shared/atlas --ray auto
    edgecnn atlas --data my_pictures --weights imagenet --markdown atlas.md --picture atlas.svg
    """
    from edgecnn.charting import atlas
    from edgecnn.charting.page import draw
    from edgecnn.charting.page import markdown as as_markdown

    logging.basicConfig(format="%(message)s")
    found = atlas(
        data,
        architectures,
        out=out,
        max_drop=max_drop,
        measure_again=measure_again,
        ray=ray,
        progress=lambda what: click.echo(what, err=True),
        **settings,
    )
    if found.rows:
        if markdown:
            markdown.write_text(as_markdown(found), encoding="utf-8")
            click.echo(f"{markdown} written", err=True)
        if picture:
            draw(found, picture)
            click.echo(f"{picture} written", err=True)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=1))
    elif found.rows:
        show(found)
    if found.refused:
        raise CheckFailed(
            f"{len(found.refused)} of {len(found.refused) + len(found.rows)} networks have no row: "
            + " ".join(f"{name}: {why}" for name, why in found.refused.items())
        )


def show(found: "Atlas") -> None:
    """Print a line a network: in the engine that is the fastest for it."""
    from rich.table import Table

    from edgecnn.charting.page import fastest_engine
    from edgecnn.cli.console import stdout

    console = stdout(width=120)
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("network", no_wrap=True)
    for column in ("float32", "int8", "fastest engine", "median, ms", "RAM, MB", "predicted"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("repair")
    for row in found.rows:
        name = fastest_engine(row)
        engine = row["engines"][name]
        predicted = engine["predicted_ram_bytes"]
        table.add_row(
            row["architecture"],
            f"{row['float32']['top1']:.1%}",
            f"{row['int8'][name]['top1']:.1%}",
            name,
            f"{engine['latency_ms']['p50']:.3g}" + ("" if engine["valid"] else "*"),
            f"{engine['ram_bytes'] / 1e6:.0f}",
            "" if predicted is None else f"{predicted / 1e6:.0f}",
            row["repair"],
        )
    console.print(table)
    if not all(one["valid"] for row in found.rows for one in row["engines"].values()):
        console.print("* disturbed by other programs: --measure-again on a quiet machine")
    console.print("Intervals and the other engines: --markdown FILE or --json.")
