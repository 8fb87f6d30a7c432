"""`edgecnn analyze`."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from edgecnn.errors import CheckFailed

if TYPE_CHECKING:
    from edgecnn.analysis import RamAnalysis
    from edgecnn.targets.profiling.catalogue import Fit


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
@click.option(
    "--batch", type=click.IntRange(1), default=1, show_default=True, help="Pictures at once."
)
@click.option(
    "--dtype",
    type=click.Choice(("int8", "fp16", "fp32")),
    help="int8 by default; a bundle or file has its own.",
)
@click.option("--training", is_flag=True, help="Show what one training step needs.")
@click.option(
    "--input", "input_shape", callback=parse_input, metavar="HxWxC", help="At another input size."
)
@click.option("--board", metavar="NAME", help="Does it fit? Such as raspberrypi-zero2w.")
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also as a page: memory over the layers, point at one.",
)
@click.option("--json", "as_json", is_flag=True, help="Result as JSON on stdout.")
def command(
    what: str,
    batch: int,
    dtype: Any,
    training: bool,
    input_shape: tuple[int, int, int] | None,
    board: str | None,
    html: Path | None,
    as_json: bool,
) -> None:
    """How much RAM a network needs, layer by layer.

    \b
    edgecnn analyze resnet34 --dtype int8
    edgecnn analyze vgg16 --dtype fp32 --batch 32 --training
    edgecnn analyze resnet34 --board raspberrypi-zero2w   # exit 1 if it does not fit
    edgecnn analyze resnet34 --html resnet34.html
    edgecnn analyze exports/resnet34-int8
    edgecnn analyze exports/resnet34-int8/model.tflite    # or .onnx, .xml
    """
    from edgecnn.analysis import analyze
    from edgecnn.quiet import import_keras_if_needed
    from edgecnn.targets.profiling import report

    if html:
        report.check_installed()
    if board is not None:
        from edgecnn.targets.profiling import catalogue

        catalogue.load(board)  # a misspelt name is said before the work
    import_keras_if_needed(what)
    found = analyze(what, dtype=dtype, batch=batch, input_shape=input_shape)
    if training and found.training_bytes is None:
        raise click.UsageError(f"{what} is a finished model file: it cannot be trained.")
    if html:
        report.write(report.render_analysis(found.to_json()), html)
    fit = None
    if board is not None:
        with Console(stderr=True).status("measuring what the engine itself takes"):
            fit = catalogue.fit(found.to_json(), board)
    if as_json:
        verdict = {"board": fit.to_json()} if fit else {}
        click.echo(json.dumps(found.to_json() | verdict, indent=1))
    else:
        show(found, training)
        if fit:
            show_fit(fit)
    if fit and not fit.fits:
        raise CheckFailed(
            f"{what} does not fit {fit.board.name}: it needs "
            f"{_megabytes(fit.peak_bytes)} and {_megabytes(fit.board.free_bytes)} are free. "
            "Take int8, a smaller --input or a smaller network."
        )


def show_fit(fit: "Fit") -> None:
    """Print the verdict on a board."""
    board, predicted = fit.board, fit.predicted
    console = Console(highlight=False)
    console.print()
    colour, verdict = ("green", "fits") if fit.fits else ("red", "does not fit")
    console.print(
        f"[bold {colour}]{verdict}[/] {board.name} ({board.cores} × {board.cpu}, "
        f"{board.clock_mhz} MHz, {board.ram_bytes / 2**30:g} GiB): predicted peak "
        f"{_megabytes(fit.peak_bytes)} with {fit.runtime}, {_megabytes(board.free_bytes)} free "
        f"({board.free_basis}), margin {_megabytes(fit.margin_bytes)}",
        soft_wrap=True,
    )
    console.print(
        f"[dim]predicted = engine {_megabytes(predicted.baseline)} (as on this machine) + weights "
        f"{_megabytes(predicted.weights)} + activations {_megabytes(predicted.arena)} + operators "
        f"{_megabytes(predicted.graph)} + frames {_megabytes(fit.frame_bytes)} (640×480)[/]",
        soft_wrap=True,
    )
    for quirk in board.quirks:
        console.print(f"[yellow]{quirk}[/]", soft_wrap=True)


def show(found: "RamAnalysis", training: bool) -> None:
    """Print the layer table and the totals."""
    from rich.table import Table

    table = Table(
        title=f"{found.architecture}, {found.dtype}, batch {found.batch}",
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
    )
    table.add_column("layer", overflow="fold")
    table.add_column("type", no_wrap=True)
    for column in ("output", "params", "MACs", "out kB", "live kB"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    peak = found.peak_layer.name
    for layer in found.layers:
        table.add_row(
            layer.name,
            layer.type,
            "×".join(map(str, layer.output_shape)),
            _short(layer.parameters),
            _short(layer.macs),
            f"{layer.output_bytes / 1e3:,.1f}",
            f"{layer.live_bytes / 1e3:,.1f}",
            "◄" if layer.name == peak else "",
            style="bold" if layer.name == peak else None,
        )
    console = Console(highlight=False)
    console.print(table)
    console.print()
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
        (
            "liveness peak",
            _megabytes(found.liveness_peak_bytes),
            f"at {peak}: " + " + ".join(f"{t.name} {t.bytes:,}" for t in found.peak_tensors),
        ),
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
    for way in ways_to_lower(found):
        console.print(f"[dim]{way}[/]", soft_wrap=True)


def ways_to_lower(found: "RamAnalysis") -> list[str]:
    """What would lower the activations' peak, and to about how much."""
    peak = found.liveness_peak_bytes
    ways = []
    height, width, *_ = *found.layers[0].output_shape, 1, 1
    if found.training_bytes is not None and min(height, width) >= 64:
        smaller = f"{height * 3 // 4}x{width * 3 // 4}"
        ways.append(f"an input of {smaller} would need about {_megabytes(peak * 9 // 16)}")
    width_bytes = {"fp32": 4, "fp16": 2}.get(found.dtype)
    if width_bytes:
        ways.append(f"int8 would need about {_megabytes(peak // width_bytes)}")
    if found.batch > 1:
        ways.append(f"one picture at a time needs {_megabytes(peak // found.batch)}")
    return ways


def _short(count: int) -> str:
    """At most six characters; nothing for nothing."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.1f}{letter}"
    return str(count) if count else ""


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.3f} MB"
