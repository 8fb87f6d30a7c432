"""`edgecnn deploy`."""

import getpass
import json
import shlex
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edgecnn.cli.deploy_progress import TerminalProgress
from edgecnn.cli.options import Number
from edgecnn.cli.run import command as run_command
from edgecnn.shell import typed
from edgecnn.targets.deploy.software import BOARD_EXTRAS

if TYPE_CHECKING:
    from edgecnn.targets.deploy.deployment import Outcome

RUN_ARGUMENTS = "edgecnn.cli.deploy.run"
PROFILES = Path("profiles")
ON_BOARD = '"$HOME"/.local/share/edgecnn/current'


class WithRunArguments(click.Command):
    """Takes what follows `--` aside, as arguments of `edgecnn run`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, up to `--`."""
        here = args.index("--") if "--" in args else len(args)
        ctx.meta[RUN_ARGUMENTS] = args[here + 1 :]
        return super().parse_args(ctx, args[:here])


@click.command(cls=WithRunArguments)
@click.argument("words", nargs=-1, required=True, metavar="[BUNDLE] USER@HOST... [-- RUN OPTIONS]")
@click.option("--rollback", is_flag=True, help="Go back to the release before; takes no BUNDLE.")
@click.option(
    "--downgrade", is_flag=True, help="Also switch to a bundle made before the current one."
)
@click.option(
    "--service",
    is_flag=True,
    help="Install a systemd unit that runs the current release, with the options after --.",
)
@click.option("--run", is_flag=True, help="Then run it there, with the options after --.")
@click.option(
    "--profile", is_flag=True, help="Then profile it there; the reports come to profiles/."
)
@click.option(
    "--if-better",
    is_flag=True,
    help="Switch only where the evidence of --data and --inbox shows that it is better than what "
    "the board runs; else say what is missing, with exit code 1.",
)
@click.option(
    "--data",
    multiple=True,
    metavar="SOURCE",
    help="With --if-better: labelled pictures. Those that it was trained on are left out.",
)
@click.option(
    "--inbox",
    "inboxes",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="With --if-better: frames of boards, of whose random stream the labelled ones count.",
)
@click.option(
    "--max-drop",
    type=Number(0),
    default=2.0,
    show_default=True,
    metavar="POINTS",
    help="With --if-better: what it may lose on any set of pictures, with 95% confidence.",
)
@click.option(
    "--max-class-drop",
    type=Number(0),
    default=2.0,
    show_default=True,
    metavar="POINTS",
    help="With --if-better: what a class may lose, or one picture where that is more.",
)
@click.option(
    "--with",
    "extras",
    type=click.Choice(BOARD_EXTRAS),
    multiple=True,
    help="Also install this part of edgecnn there; may be given several times.",
)
@click.option(
    "--wheels",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Install from the wheels in this folder alone: for boards without internet.",
)
@click.option(
    "--python",
    default="python3",
    show_default=True,
    metavar="NAME",
    help="The board's Python, 3.11 or newer.",
)
@click.option(
    "--system-site-packages",
    is_flag=True,
    help="Let the installation see the board's own packages, such as picamera2.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def command(
    ctx: click.Context,
    words: tuple[str, ...],
    rollback: bool,
    downgrade: bool,
    service: bool,
    run: bool,
    profile: bool,
    if_better: bool,
    data: tuple[str, ...],
    inboxes: tuple[Path, ...],
    max_drop: float,
    max_class_drop: float,
    extras: tuple[str, ...],
    wheels: Path | None,
    python: str,
    system_site_packages: bool,
    as_json: bool,
) -> None:
    """Bring a bundle to boards over SSH, prove it there, then switch to it.

    The ssh command is used as you have configured it. Nothing needs to be on a board but Python:
    edgecnn goes into a venv of its own below ~/.local/share/edgecnn. An interrupted copy goes on
    where it stopped; what is there already is not sent again. The release before stays current
    until the new one has given the right answers on the board.

    \b
    edgecnn deploy exports/resnet34-int8 pi@camera1 pi@camera2
    edgecnn deploy exports/resnet34-int8 pi@camera1 --service --with mqtt -- --source 0 --mqtt mqtt://broker
    edgecnn deploy exports/flowers-2 pi@camera1 --if-better --data my_pictures --inbox inbox
    edgecnn deploy --rollback pi@camera1
    """
    arguments: list[str] = ctx.meta[RUN_ARGUMENTS]
    hosts = words if rollback else words[1:]
    _check_usage(ctx, hosts, arguments, rollback, service, run, as_json)
    if bool(data or inboxes) != if_better or (rollback and if_better):
        ctx.fail("--if-better takes --data or --inbox to judge by, and a bundle.")
    from edgecnn.targets.deploy import deployment
    from edgecnn.targets.deploy.evidence import Evidence
    from edgecnn.targets.deploy.judging import Bounds
    from edgecnn.targets.deploy.shipment import Installation

    bounds = Bounds(max_drop, max_class_drop)
    said = {"by": f"{getpass.getuser()}@{socket.gethostname()}", "command": _command()}
    runtime = "auto"
    if service or run:
        # Wrong options are found before any board is touched.
        runtime = run_command.make_context("edgecnn run", [words[0], *arguments]).params["runtime"]
    with TerminalProgress() as progress:
        if rollback:
            outcomes = deployment.rollback(hosts, python=python, said=said, progress=progress)
        else:
            outcomes = deployment.deploy(
                words[0],
                hosts,
                installation=Installation(extras, wheels, system_site_packages, python),
                runtime=runtime,
                run=arguments if service else None,
                profile=PROFILES if profile else None,
                downgrade=downgrade,
                if_better=Evidence(data, inboxes, bounds) if if_better else None,
                said=said,
                progress=progress,
            )
    if as_json:
        click.echo(json.dumps({"boards": [outcome.to_json() for outcome in outcomes]}, indent=1))
    else:
        # With --run, stdout is the program's.
        Console(highlight=False, stderr=run).print(_table(outcomes))
    for outcome in outcomes:
        if outcome.judgement and not as_json:
            _show(outcome.host, outcome.judgement)
        if outcome.reason:
            click.echo(f"edgecnn: {outcome.host}: {outcome.reason}", err=True)
    if not all(outcome.ok for outcome in outcomes):
        ctx.exit(1)
    if run:
        ctx.exit(_run_there(hosts[0], arguments))


def _command() -> str:
    """As it was typed, for the board's history."""
    return typed("edgecnn", *sys.argv[1:])


def _show(host: str, judgement: dict[str, Any]) -> None:
    from edgecnn.paired import Change

    for name, found in judgement["sets"].items():
        whole = Change.from_json(found)
        click.echo(f"{host}: {whole.count:,} {name}: {whole.text}", err=True)
    settled = judgement["disagreements"]
    if settled["frames"]:
        click.echo(
            f"{host}: of {settled['frames']} labelled frames on which they differed, the current "
            f"one is right on {settled['old']}, the new one on {settled['new']}",
            err=True,
        )
    for note in judgement["notes"]:
        click.echo(f"{host}: {note}", err=True)


def _check_usage(
    ctx: click.Context,
    hosts: Sequence[str],
    arguments: list[str],
    rollback: bool,
    service: bool,
    run: bool,
    as_json: bool,
) -> None:
    if not hosts:
        ctx.fail("Which board? edgecnn deploy BUNDLE USER@HOST...")
    if rollback and (service or run or arguments):
        ctx.fail("--rollback takes boards only.")
    if arguments and not (service or run):
        ctx.fail("Options after -- are for --service or --run.")
    if run and (service or as_json or len(hosts) > 1):
        ctx.fail("--run is for one board, in the foreground: without --service and --json.")


def _run_there(host: str, arguments: list[str]) -> int:
    from edgecnn.targets.deploy.ssh import Connection

    command = f"{ON_BOARD}/venv/bin/python -m edgecnn run {ON_BOARD}/bundle"
    with Connection(host) as connection:
        # With a terminal there, Ctrl-C ends the program and not only the connection.
        return connection.attach(f"{command} {shlex.join(arguments)}", terminal=sys.stdin.isatty())


def _table(outcomes: "Sequence[Outcome]") -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("board", no_wrap=True)
    for name in ("", "engine", "current"):
        table.add_column(name, overflow="fold")
    for name in ("sent", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in outcomes:
        table.add_row(
            escape(one.host),
            "[green]ok[/]" if one.ok else "[red]failed[/]",
            one.engine or "",
            (one.current or "").partition("@")[0],
            f"{one.sent_bytes / 1e6:.1f} MB" if one.ok else "",
            f"{one.seconds:.1f} s",
        )
    return table
