"""`edgecnn pull`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edgecnn.cli.deploy_progress import TerminalProgress
from edgecnn.shell import typed
from edgecnn.targets.deploy.pulling import COLLECTED

if TYPE_CHECKING:
    from edgecnn.targets.deploy.pulling import Pulled


@click.command()
@click.argument("hosts", nargs=-1, required=True, metavar="USER@HOST...")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default="inbox",
    show_default=True,
    help="Folder to bring them into; what is there stays, and is not sent again.",
)
@click.option(
    "--collected",
    default=COLLECTED,
    show_default=True,
    metavar="DIR",
    help="The folder of `edgecnn run --collect` on the boards; relative ones begin at home.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def command(
    ctx: click.Context, hosts: tuple[str, ...], out: Path, collected: str, as_json: bool
) -> None:
    """Bring the frames that boards kept into one inbox, over SSH.

    Each frame comes once, whichever board has it. Interrupted, it goes on where it stopped. Nothing
    is changed on the boards.

    \b
    edgecnn pull pi@camera1 pi@camera2
    edgecnn pull pi@camera1 --out inbox --collected /data/collected
    """
    from edgecnn.targets.deploy.pulling import pull

    with TerminalProgress() as progress:
        found = pull(hosts, out, collected=collected, progress=progress)
    if as_json:
        click.echo(json.dumps({"boards": [one.to_json() for one in found]}, indent=1))
    else:
        Console(highlight=False).print(_table(found))
    for one in found:
        if one.reason:
            click.echo(f"edgecnn: {one.host}: {one.reason}", err=True)
    if not all(one.ok for one in found):
        ctx.exit(1)
    if not as_json:
        click.echo(f"Label them: {typed('edgecnn', 'label', str(out))}", err=True)


def _table(found: "Sequence[Pulled]") -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("board", no_wrap=True)
    for name in ("", "new", "known", "pulled", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found:
        table.add_row(
            escape(one.host),
            "[green]ok[/]" if one.ok else "[red]failed[/]",
            *(str(count) if one.ok else "" for count in (one.new_frames, one.known_frames)),
            f"{one.pulled_bytes / 1e6:.1f} MB" if one.ok else "",
            f"{one.seconds:.1f} s" if one.ok else "",
        )
    return table
