"""`edgecnn targets`."""

import json
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edgecnn.targets.board.target import TARGETS, target

if TYPE_CHECKING:
    from edgecnn.targets.inventory import Entry, Inventory

UNITS = {"_c": "°C", "_mhz": "MHz", "_w": "W"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def command(as_json: bool) -> None:
    """What works here, and how to get the rest: engines, cameras, readings, extras.

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
    console.print(f"[bold]{board.name}[/]: {escape(board.board)}")
    threads = "1 thread" if board.threads == 1 else f"{board.threads} threads"
    console.print(f"{escape(board.cpu)}, {ram} RAM; engines get {threads}")
    for detail in board.details:
        console.print(escape(detail))
    console.print()
    console.print(_entries("runtime", found.runtimes))
    console.print()
    console.print(_entries("camera", found.cameras))
    console.print()
    console.print(_readings(found))
    console.print()
    console.print(_extras(found.extras))
    if board.not_built:
        console.print()
        console.print(f"[dim]not built for {board.name} yet: {'; '.join(board.not_built)}[/]")
    others = [name for name in TARGETS if name != board.name and target(name).not_built]
    if others:
        console.print()
        console.print(f"[dim]what is not built for {', '.join(others)}: edgecnn targets --json[/]")


def _entries(kind: str, entries: tuple["Entry", ...]) -> Table:
    table = _table(kind)
    for entry in entries:
        state = " ".join(filter(None, ("available", entry.engine, entry.version)))
        if entry.note:
            table.add_row(entry.name, f"[yellow]{escape(f'{state}; {entry.note}')}[/]")
        elif entry.available:
            table.add_row(entry.name, f"[green]{escape(state)}[/]")
        else:
            table.add_row(entry.name, escape(entry.reason or ""))
    return table


def _extras(entries: tuple["Entry", ...]) -> Table:
    table = _table("extra")
    for entry in entries:
        how = "[green]available[/]" if entry.available else escape(entry.reason or "")
        table.add_row(entry.name, f"{entry.note}: {how}")
    return table


def _readings(found: "Inventory") -> Table:
    table = _table("reading")
    for name, value in found.telemetry.items():
        if value is not None:
            table.add_row(*_reading(name, value))
    # A reason that several share stands once.
    missing: dict[str, list[str]] = {}
    for name, reason in found.not_shown.items():
        missing.setdefault(reason, []).append(_words(name)[0])
    for reason, names in missing.items():
        table.add_row(", ".join(names), escape(reason), style="dim")
    return table


def _reading(name: str, value: Any) -> tuple[str, str]:
    words, unit = _words(name)
    if isinstance(value, dict):
        shown = ", ".join(f"{rail} {power:.2f}" for rail, power in value.items())
    elif isinstance(value, list | tuple):
        shown = ", ".join(value) or "no"
    elif isinstance(value, bool):
        shown = "yes" if value else "no"
    elif name == "gpu_load":
        shown = f"{value:.0%}"
    else:
        shown = f"{value:.1f}" if isinstance(value, float) else str(value)
    return words, escape(f"{shown} {unit}".strip())


def _words(name: str) -> tuple[str, str]:
    """The name of a reading without its unit, and the unit."""
    for end, unit in UNITS.items():
        if name.endswith(end):
            return name.removesuffix(end).replace("_", " "), unit
    return name.replace("_", " "), ""


def _table(kind: str) -> Table:
    table = Table(kind, "", box=None, padding=(0, 2, 0, 0), show_edge=False)
    table.columns[0].max_width = 26
    table.columns[1].overflow = "fold"
    return table
