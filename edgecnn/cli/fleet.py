"""`edgecnn fleet`."""

import datetime
import json
import time
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from edgecnn.targets.live.fleet import Fleet, Member

COLOURS = {"online": "green", "silent": "yellow", "alarm": "red", "stuck": "red", "offline": "red"}
REFRESH_S = 1.0


@click.command()
@click.option(
    "--mqtt",
    "url",
    required=True,
    metavar="URL",
    help="mqtt://HOST[:PORT][/TOPIC] or mqtts://...: the boards one level below this topic, "
    "edgecnn by default. Credentials as in `edgecnn run --mqtt`.",
)
@click.option("--watch", is_flag=True, help="Keep showing it, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def command(ctx: click.Context, url: str, watch: bool, as_json: bool) -> None:
    """Which boards run what, how fast and how hot: all that publish with `edgecnn run --mqtt`.

    A board that died is offline as soon as the broker misses it, after some 20 seconds at most;
    one that is silent is there and gets no frames; one with an alarm says which (see `edgecnn run
    --alarm`).

    \b
    edgecnn fleet --mqtt mqtt://broker
    edgecnn fleet --mqtt mqtt://broker/robots --json | jq '.boards[] | select(.state != "online")'
    """
    if watch and as_json:
        ctx.fail("--watch is for people, --json for programs.")
    from edgecnn.targets.live.fleet import Fleet

    with Fleet(url) as fleet:
        if as_json:
            boards = [member.to_json() for member in fleet.members()]
            click.echo(json.dumps({"topic": fleet.topic, "boards": boards}, indent=1))
        elif watch:
            with Live(_table(fleet), auto_refresh=False) as live:
                while True:
                    time.sleep(REFRESH_S)
                    live.update(_table(fleet), refresh=True)
        else:
            Console(highlight=False).print(_table(fleet))
            if not fleet.members():
                click.echo(f"No board has published below {fleet.topic}.", err=True)


def _table(fleet: "Fleet") -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("board", no_wrap=True)
    table.add_column("")
    table.add_column("bundle", overflow="fold")
    for name in ("p99 ms", "age ms", "°C", "since"):
        table.add_column(name, justify="right", no_wrap=True)
    today = datetime.date.today()
    for member in fleet.members():
        health = member.health
        since = datetime.datetime.fromtimestamp(health["since"])
        table.add_row(
            escape(member.topic),
            f"[{COLOURS[member.state]}]{_state(member)}[/]",
            # As its folder is called where it was deployed.
            escape(f"{health['bundle']}-{health['bundle_version']}"),
            *(_figure(health.get(key), 1) for key in ("latency_p99_ms", "age_p99_ms")),
            _figure(health.get("temperature_c"), 0),
            f"{since:%H:%M}" if since.date() == today else f"{since:%Y-%m-%d}",
        )
    return table


def _state(member: "Member") -> str:
    return escape(str(member.health["alarm"])) if member.state == "alarm" else member.state


def _figure(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
