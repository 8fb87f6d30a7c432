"""`edgecnn compare`."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecnn.cli.options import Number

if TYPE_CHECKING:
    from edgecnn.comparison import Comparison
    from edgecnn.comparison.figure import Figure


def parse_share(
    ctx: click.Context,  # noqa: ARG001
    param: click.Parameter,  # noqa: ARG001
    value: str,
) -> float:
    """`+5%` (or `5%`, or `5`) as 0.05; a click callback."""
    if not (match := re.fullmatch(r"\+?(\d+(?:\.\d+)?)%?", value)):
        raise click.BadParameter(f"'{value}' is not a share such as +5%.")
    return float(match[1]) / 100


@click.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option(
    "--max-latency",
    default="+5%",
    show_default=True,
    callback=parse_share,
    metavar="PERCENT",
    help="How much slower is allowed.",
)
@click.option(
    "--max-memory",
    default="+5%",
    show_default=True,
    callback=parse_share,
    metavar="PERCENT",
    help="How much more memory, or larger files, are allowed.",
)
@click.option(
    "--max-drop",
    type=Number(0),
    default=0.5,
    show_default=True,
    help="How much accuracy may be lost, in percentage points.",
)
@click.option("--markdown", is_flag=True, help="A table for a pull request.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def command(
    old: Path,
    new: Path,
    max_latency: float,
    max_memory: float,
    max_drop: float,
    markdown: bool,
    as_json: bool,
) -> None:
    """Judge a new report against an old one; exit 1 if anything got worse.

    Takes what profile, evaluate or export wrote with --json. A latency counts as worse only
    where its whole 95% interval lies beyond what is allowed.

    \b
    edgecnn profile exports/resnet34-int8 --json > new.json
    edgecnn compare old.json new.json --max-latency +5% --markdown
    """
    from edgecnn.comparison import compare
    from edgecnn.comparison.figure import Limits
    from edgecnn.errors import CheckFailed

    found = compare(old, new, Limits(max_latency, max_memory, max_drop))
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=1))
    elif markdown:
        click.echo(to_markdown(found))
    else:
        _show(found)
    if worse := found.regressions:
        raise CheckFailed(
            "; ".join(
                f"{f.subject}: {f.name} {_change(f)}, allowed {_signed(f, f.allowed)}"
                for f in worse
            )
        )


def to_markdown(found: "Comparison") -> str:
    """The comparison as a GitHub table."""
    header = ("", "figure", "old", "new", "change", "verdict")
    lines = [
        f"**{_headline(found)}**",
        "",
        f"| {' | '.join(header)} |",
        "|---|---|--:|--:|--:|---|",
        *(f"| {' | '.join(row)} |" for row in _rows(found)),
    ]
    return "\n".join(
        [*lines, *(("", *(f"- {note}" for note in found.notes)) if found.notes else ())]
    )


def _show(found: "Comparison") -> None:
    from rich.console import Console
    from rich.table import Table

    colours = {"regression": "red", "unclear": "yellow", "better": "green"}
    table = Table(title=_headline(found), title_justify="left", box=None)
    for column in ("", "figure"):
        table.add_column(column)
    for column in ("old", "new", "change"):
        table.add_column(column, justify="right")
    table.add_column("verdict", overflow="fold")
    for figure, row in zip(found.figures, _rows(found), strict=True):
        table.add_row(*row, style=colours.get(figure.verdict))
    console = Console(highlight=False)
    console.print(table)
    for note in found.notes:
        console.print(note, style="dim", soft_wrap=True, markup=False)


def _headline(found: "Comparison") -> str:
    count = len(found.regressions)
    said = f"{count} regression{'s' * (count > 1)}" if count else "no regression"
    return f"{said}: {Path(found.new).name} against {Path(found.old).name}"


def _rows(found: "Comparison") -> Iterator[tuple[str, ...]]:
    subject = ""
    for figure in found.figures:
        verdict = f"{figure.verdict}: {figure.reason}" if figure.reason else figure.verdict
        yield (
            figure.subject if figure.subject != subject else "",
            figure.name,
            _value(figure, figure.old),
            _value(figure, figure.new),
            _change(figure),
            verdict,
        )
        subject = figure.subject


def _value(figure: "Figure", value: float) -> str:
    if figure.unit in ("ms", "mJ"):
        return f"{value:.2f} {figure.unit}"
    return f"{value / 1e6:.2f} MB" if figure.unit == "bytes" else f"{value:.2%}"


def _change(figure: "Figure") -> str:
    # An accuracy that falls reads as a minus, though its change counts as worse.
    sign = -1 if figure.unit == "fraction" else 1
    text = _signed(figure, sign * figure.change)
    if figure.interval is not None and figure.unit in ("ms", "mJ"):
        low, high = figure.interval
        text += f" [{_signed(figure, low)}, {_signed(figure, high)}]"
    return text


def _signed(figure: "Figure", value: float) -> str:
    return f"{value:+.2f} pt" if figure.unit == "fraction" else f"{value:+.1%}"
