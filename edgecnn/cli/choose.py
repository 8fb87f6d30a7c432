"""`edgecnn choose`."""

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecnn.cli.options import Number

if TYPE_CHECKING:
    from edgecnn.choosing.choice import Choice
    from edgecnn.choosing.front import Candidate, Figure

UNITS = {"": 1e6, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
ROWS = 20
"""Of the table; --all and the JSON have the rest."""


def parse_bytes(
    ctx: click.Context,  # noqa: ARG001
    param: click.Parameter,  # noqa: ARG001
    value: str | None,
) -> float | None:
    """`200MB`, `1.5GB` or `200` (megabytes) as bytes; a click callback."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", value.strip().lower())
    if match is None or match[2] not in UNITS or not float(match[1]):
        raise click.BadParameter(f"'{value}' is not an amount of memory such as 200MB.")
    return float(match[1]) * UNITS[match[2]]


@click.command()
@click.option(
    "--board",
    default="this",
    show_default=True,
    metavar="NAME",
    help="Such as raspberrypi-5-8gb; `this` is this machine, measured once.",
)
@click.option("--latency", type=Number(0, min_open=True), metavar="MS", help="At most so long.")
@click.option("--ram", callback=parse_bytes, metavar="SIZE", help="At most so much, such as 200MB.")
@click.option(
    "--accuracy",
    type=Number(0, 100),
    metavar="PERCENT",
    help="At least so many answers right.",
)
@click.option(
    "--profile",
    "profiles",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    metavar="JSON",
    help="What `edgecnn profile --json` printed on that board; may be given several times.",
)
@click.option(
    "--run",
    "runs",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    metavar="DIR",
    help="Choose among these training runs; may be given several times.",
)
@click.option(
    "--data",
    metavar="SOURCE",
    help="Try the best on these pictures, and train the winner: see `edgecnn train`.",
)
@click.option(
    "--all", "everything", is_flag=True, help="Every row of the table, the beaten ones too."
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PNG",
    help="Draw accuracy over latency.",
)
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Write one page to look at."
)
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def command(
    board: str,
    latency: float | None,
    ram: float | None,
    accuracy: float | None,
    profiles: tuple[Path, ...],
    runs: tuple[Path, ...],
    data: str | None,
    everything: bool,
    picture: Path | None,
    html: Path | None,
    as_json: bool,
) -> None:
    """Which network, input, precision, engine and threads for a board?

    Every network of the zoo that has pretrained weights, at usual input sizes, in int8 and
    float32, in every engine of the board: those within the limits that no other beats in latency,
    RAM and accuracy at once. Each figure says between which it lies, and whether it was measured
    or predicted. Before anything was measured on a board, published figures are the basis; one
    --profile from there makes intervals narrower.

    Without --data or --run the accuracy is what was published for ImageNet, which orders networks
    and says nothing of your pictures.

    \b
    edgecnn choose --board raspberrypi-5-8gb --latency 30 --ram 200MB
    edgecnn choose --board raspberrypi-4b-4gb --latency 50 --html choice.html
    edgecnn choose --board raspberrypi-5-8gb --latency 30 --profile pi.json
    edgecnn choose --latency 10 --data my_pictures --accuracy 90
    """
    from rich.console import Console

    from edgecnn.choosing import choose, try_out
    from edgecnn.choosing.picture import draw
    from edgecnn.targets.profiling import report

    if html:
        report.check_installed()
    if data is not None and runs:
        raise click.UsageError("--data trains, --run chooses among what was trained: take one.")
    bound = None if accuracy is None else accuracy / 100
    with Console(stderr=True).status("") as status:
        found = choose(
            board,
            latency_ms=latency,
            ram_bytes=ram,
            # Of these pictures, not of ImageNet's.
            accuracy=None if data else bound,
            profiles=profiles,
            runs=runs,
            progress=status.update,
        )
    if data is not None:
        found = try_out(found, data, accuracy=bound)
    if picture:
        draw(found, picture)
        click.echo(f"{picture} written", err=True)
    if html:
        report.write(report.render_choice(found.to_json(), _dots(found)), html)
        click.echo(f"{html} written", err=True)
    if as_json:
        click.echo(json.dumps(_with_infinity_as_none(found.to_json()), indent=1))
    else:
        show(found, everything)


def show(found: "Choice", everything: bool = False) -> None:
    """Print the front, or all candidates, and what to know of the figures."""
    from rich.table import Table

    from edgecnn.cli.console import stdout

    console = stdout(width=100)
    table = Table(box=None, padding=(0, 1, 0, 0), title_justify="left", title=_headline(found))
    table.add_column("network", no_wrap=True)
    for column in ("input", "", "engine, threads", "ms, 90%", "RAM, MB", "top-1", "within"):
        table.add_column(column, justify="right", no_wrap=True)
    rows = found.candidates if everything else found.front[:ROWS]
    on_front = set(map(id, found.front))
    for one in rows:
        beaten = "" if id(one) in on_front or not everything else "dim"
        table.add_row(*_row(one, found), style=beaten)
    console.print(table)
    if not everything and len(found.front) > ROWS:
        console.print(f"[dim]and {len(found.front) - ROWS} more: --all, --json[/]")
    console.print()
    for basis in dict.fromkeys(one.latency_ms.basis for one in rows):
        console.print(f"[dim]latency: {basis}[/]", soft_wrap=True)
    if found.unknown:
        console.print(
            f"[dim]{found.unknown} more are within the limits, and nobody published how often they "
            "are right at that input.[/]",
            soft_wrap=True,
        )
    for note in found.notes:
        console.print(f"[yellow]{note}[/]", soft_wrap=True)


def _headline(found: "Choice") -> str:
    limits = found.limits
    asked = [f"{limits.latency_ms:g} ms"] if limits.latency_ms is not None else []
    asked.append(f"{(limits.ram_bytes or 0) / 1e6:,.0f} MB")
    asked += [f"{limits.accuracy:.0%} right"] if limits.accuracy is not None else []
    return (
        f"{found.board}: {len(found.front)} of {found.considered:,} candidates keep within "
        f"{', '.join(asked)} and are beaten by none"
    )


def _row(one: "Candidate", found: "Choice") -> tuple[str, ...]:
    ms = one.latency_ms
    return (
        one.architecture,
        str(one.side),
        one.precision,
        f"{one.runtime} {one.threads}",
        f"{_digits(ms.value)} ({_digits(ms.low)} to {_digits(ms.high)})",
        f"{one.ram_bytes.value / 1e6:.0f} ± {_half(one.ram_bytes) / 1e6:.0f}",
        "" if one.accuracy is None else f"{one.accuracy.value:.1%}",
        "surely" if found.limits.surely(one) else "likely",
    )


def _half(figure: "Figure") -> float:
    return (figure.high - figure.low) / 2


def _digits(ms: float) -> str:
    return f"{ms:.{max(0, 1 - math.floor(math.log10(ms)))}f}" if ms < 100 else f"{ms:.0f}"


def _with_infinity_as_none(found: Any) -> Any:
    """JSON has no infinity: where there is no limit, there is none."""
    if isinstance(found, dict):
        return {key: _with_infinity_as_none(value) for key, value in found.items()}
    return None if isinstance(found, float) and math.isinf(found) else found


def _dots(found: "Choice") -> list[dict[str, Any]]:
    """All candidates within the limits, for the page's drawing."""
    on_front = set(map(id, found.front))
    return [one.to_json() | {"front": id(one) in on_front} for one in found.candidates]
