"""`edgecnn analyze`."""

import json
import re
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from edgecnn.analysis import RamAnalysis


def parse_input(
    ctx: click.Context,  # noqa: ARG001
    param: click.Parameter,  # noqa: ARG001
    value: str | None,
) -> tuple[int, int, int] | None:
    """`224x224x3` as `(224, 224, 3)`; a click callback."""
    if value is None:
        return None
    if not (match := re.fullmatch(r"([1-9]\d*)x([1-9]\d*)x([13])", value)):
        raise click.BadParameter(f"'{value}' is not an input such as 224x224x3.")
    return int(match[1]), int(match[2]), int(match[3])


@click.command("analyze")
@click.argument("what", metavar="ARCH|CHECKPOINT|BUNDLE|FILE")
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True)
@click.option(
    "--dtype",
    type=click.Choice(("int8", "fp16", "fp32")),
    help="int8 by default; a bundle or file has its own.",
)
@click.option("--training", is_flag=True, help="Show what one training step needs.")
@click.option("--input", "input_shape", callback=parse_input, metavar="HxWxC")
@click.option("--json", "as_json", is_flag=True, help="Result as JSON on stdout.")
def command(
    what: str,
    batch: int,
    dtype: Any,
    training: bool,
    input_shape: tuple[int, int, int] | None,
    as_json: bool,
) -> None:
    """How much RAM a network needs, layer by layer.

    \b
    edgecnn analyze resnet34 --dtype int8
    edgecnn analyze vgg16 --dtype fp32 --batch 32 --training
    edgecnn analyze exports/resnet34-int8
    edgecnn analyze exports/resnet34-int8/model.tflite    # or .onnx, .xml
    """
    from edgecnn.analysis import analyze
    from edgecnn.quiet import import_keras_if_needed

    import_keras_if_needed(what)
    found = analyze(what, dtype=dtype, batch=batch, input_shape=input_shape)
    if training and found.training_bytes is None:
        raise click.UsageError(f"{what} is a finished model file: it cannot be trained.")
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=1))
    else:
        show(found, training)


def show(found: "RamAnalysis", training: bool) -> None:
    """Print the layer table and the totals."""
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"{found.architecture}, {found.dtype}, batch {found.batch}", title_justify="left"
    )
    table.add_column("layer", overflow="fold")
    table.add_column("type")
    for column in ("output", "parameters", "MACs", "output bytes", "live bytes"):
        table.add_column(column, justify="right")
    peak = found.peak_layer.name
    for layer in found.layers:
        table.add_row(
            layer.name,
            layer.type,
            "×".join(map(str, layer.output_shape)),
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.macs:,}" if layer.macs else "",
            f"{layer.output_bytes:,}",
            f"{layer.live_bytes:,}{' ◄ peak' if layer.name == peak else ''}",
            style="bold" if layer.name == peak else None,
        )
    console = Console()
    console.print(table)
    totals = Table(show_header=False, box=None)
    totals.add_column(style="bold")
    totals.add_column(justify="right")
    totals.add_column(style="dim", overflow="fold")
    rows = [
        (
            "parameters",
            f"{found.parameters:,}",
            f"{found.trainable_parameters:,} trainable; BatchNorm is folded away in the table"
            if found.training_bytes is not None
            else "as they stand in the file",
        ),
        ("multiply-accumulates", f"{found.macs:,}", "convolutions and dense layers, one picture"),
        ("weights", _megabytes(found.weights_bytes), "as deployed"),
        (
            "two consecutive layers",
            _megabytes(found.two_layer_bytes),
            "the textbook rule; too low where a skip connection or branch keeps a tensor alive",
        ),
        ("liveness peak", _megabytes(found.liveness_peak_bytes), f"at {peak}"),
        (
            "planned arena",
            _megabytes(found.arena_bytes),
            "offsets as LiteRT's planner assigns them, with its kernels' scratch (no delegate)"
            if found.architecture.endswith(".tflite")
            else "offsets assigned greedily by size, 64-byte aligned",
        ),
    ]
    if training and found.training_bytes is not None:
        rows.append(
            (
                "one training step",
                _megabytes(found.training_bytes),
                "float32, every layer's output kept, Adam",
            )
        )
    for row in rows:
        totals.add_row(*row)
    console.print(totals)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.3f} MB"
