"""`edgecnn zoo`: every architecture, with its figures."""

import json
from typing import Any

import click

from edgecnn.zoo.registry import Architecture


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Every architecture: year, parameters, MACs, peak activation memory, pretrained weights.

    Figures hold at the default input. The peak is what must be alive at once while the network
    runs, its weights not included. Weights are `packaged` (installed with pip), from the
    Hugging Face `hub`, or `keras`'s own download. --json adds papers and exact sources,
    `edgecnn analyze NAME` the layers of one network.

    \b
    edgecnn zoo
    edgecnn zoo --json
    """
    from edgecnn import zoo

    entries = sorted(
        (zoo.get(name) for name in zoo.names()), key=lambda a: (a.family, a.year, a.figures.macs)
    )
    if as_json:
        click.echo(json.dumps([describe(entry) for entry in entries], indent=2, ensure_ascii=False))
    else:
        _print_table(entries)


def describe(entry: Architecture) -> dict[str, Any]:
    """An architecture as `edgecnn zoo --json` shows it."""
    height, width, channels = entry.input_shape
    figures = entry.figures
    return {
        "name": entry.name,
        "family": entry.family,
        "year": entry.year,
        "paper": entry.paper,
        "parameters": figures.parameters,
        "trainable_parameters": figures.trainable_parameters,
        "macs": figures.macs,
        "input": {"height": height, "width": width, "channels": channels},
        "classes": entry.classes,
        "peak_activation_bytes": {
            "int8": figures.peak_int8_bytes,
            "float32": figures.peak_float32_bytes,
        },
        "pretrained": [str(entry.pretrained)] if entry.pretrained else [],
    }


def _print_table(entries: list[Architecture]) -> None:
    from rich.table import Table

    from edgecnn.cli.console import stdout

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("name", no_wrap=True, style="bold")
    table.add_column("year", justify="right")
    table.add_column("input", no_wrap=True)
    for title in ("parameters", "MACs", "peak\nint8", "peak\nfloat32"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("weights", no_wrap=True)
    for entry in entries:
        figures = entry.figures
        table.add_row(
            entry.name,
            str(entry.year),
            "×".join(map(str, entry.input_shape)),
            f"{figures.trainable_parameters:,}",
            _in_units(figures.macs, 1000, ("", "k", "M", "G")),
            _in_units(figures.peak_int8_bytes, 1024, ("B", "KiB", "MiB")),
            _in_units(figures.peak_float32_bytes, 1024, ("B", "KiB", "MiB")),
            entry.pretrained.kind if entry.pretrained else "–",
        )
    stdout(width=100, highlight=True).print(table)


def _in_units(value: float, step: int, units: tuple[str, ...]) -> str:
    """A number in three digits, with the largest unit that leaves something before the dot."""
    rank = 0
    while value >= step and rank < len(units) - 1:
        value, rank = value / step, rank + 1
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{decimals}f} {units[rank]}".rstrip()
