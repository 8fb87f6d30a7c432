"""`edgecnn targets`."""

import json
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edgecnn.targets.target import TARGETS, target

if TYPE_CHECKING:
    from edgecnn.targets.inventory import Entry, Inventory


@click.command()
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def command(as_json: bool) -> None:
    """The board this is, and every engine and camera: available, or why not.

    \b
    edgecnn targets
    edgecnn targets --json | jq .detected
    """
    from edgecnn.targets.inventory import inventory

    found = inventory()
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
        return
    _show(found)


def _show(found: "Inventory") -> None:
    console = Console(highlight=False)
    board = found.detected
    ram = f"{board.ram_bytes / 2**30:.1f} GiB" if board.ram_bytes else "unknown"
    console.print(f"[bold]{board.name}[/]: {board.board}")
    console.print(f"{board.cpu}, {board.threads} cores used, {ram} RAM")
    readings = board.telemetry().to_json()
    shown = ", ".join(f"{name} {value}" for name, value in readings.items() if value is not None)
    hidden = ", ".join(name for name, value in readings.items() if value is None)
    console.print(shown or "no temperature, clock or throttling readings", style="cyan")
    if shown and hidden:
        console.print(f"not shown by this machine: {hidden}", style="dim")
    console.print(_table("runtime", found.runtimes))
    console.print(_table("camera", found.cameras))
    for name in TARGETS:
        if missing := target(name).not_built:
            console.print(f"[dim]{name}, not built yet: {'; '.join(missing)}[/]")


def _table(kind: str, entries: tuple["Entry", ...]) -> Table:
    table = Table(kind, "", box=None, padding=(0, 2, 0, 0))
    for entry in entries:
        state = " ".join(filter(None, ("available", entry.engine, entry.version)))
        table.add_row(
            entry.name,
            f"[green]{state}[/]" if entry.available else f"[yellow]{escape(entry.reason or '')}[/]",
        )
    return table
