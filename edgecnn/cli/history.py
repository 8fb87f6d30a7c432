"""`edgecnn history`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from edgecnn.errors import UNREADABLE


@click.command()
@click.argument("places", nargs=-1, required=True, metavar="BUNDLE|RUN|USER@HOST...")
@click.option(
    "--python", default="python3", show_default=True, metavar="NAME", help="A board's Python."
)
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def command(ctx: click.Context, places: tuple[str, ...], python: str, as_json: bool) -> None:
    """Which pictures, labels and commands led to a network.

    Of a bundle or run: the runs it came from, one after the other, with the hash over all
    pictures, labels and splits of each. Of a board: what was switched to and back, by whom, and
    what each of these was trained on.

    \b
    edgecnn history exports/flowers-2-int8
    edgecnn history pi@camera1 pi@camera2
    """
    found, failed = [], False
    for place in places:
        if Path(place).exists():
            found.append({"of": place, "changes": _runs(Path(place))})
            continue
        one = _of_board(place, python)
        failed |= "error" in one
        found.append(one)
    if as_json:
        click.echo(json.dumps({"histories": found}, indent=1))
    else:
        for one in found:
            for line in _lines(one):
                click.echo(line)
    for one in found:
        if "error" in one:
            click.echo(f"edgecnn: {one['of']}: {one['error']}", err=True)
    ctx.exit(1 if failed else 0)


def _runs(path: Path) -> list[dict[str, Any]]:
    """The runs that led to a bundle or run, the oldest first, as far as they are here."""
    from edgecnn.bundle import MANIFEST, Bundle
    from edgecnn.checkpoint import Checkpoint, lineage, origin_of
    from edgecnn.errors import DataError

    if not (path / MANIFEST).is_file():
        return [*lineage(Checkpoint.load(path))]
    bundle = Bundle.load(path)
    last = {
        "did": "export",
        "at": bundle.manifest.get("created_at"),
        "bundle": bundle.version,
        "weights": vars(bundle.weights),
        "training": bundle.manifest.get("training"),
    }
    try:
        run = Checkpoint.load(origin_of(bundle))
    except DataError:
        return [last]
    return [*lineage(run), last]


def _of_board(host: str, python: str) -> dict[str, Any]:
    from edgecnn.errors import DeployError
    from edgecnn.targets.deploy.remote import RemoteBoard
    from edgecnn.targets.deploy.ssh import Connection

    try:
        with Connection(host) as connection:
            return {"of": host, "changes": RemoteBoard(connection, python).history()}
    except DeployError as error:
        return {"of": host, "changes": [], "error": str(error)}


def _lines(found: dict[str, Any]) -> Iterator[str]:
    yield str(found["of"])
    if not found["changes"] and "error" not in found:
        yield "  nothing is written down: it was deployed by an older edgecnn, or never"
    for one in found["changes"]:
        try:
            yield from [*_change(one)]
        except UNREADABLE:
            yield "  a line that was torn off or changed"


def _change(one: dict[str, Any]) -> Iterator[str]:
    what = one.get("run") or f"bundle {one.get('bundle')}"
    yield f"  {one['at']}  {one['did']}  {what}"
    if one.get("by"):
        yield f"    by {one['by']}: {one.get('command')}"
    if one.get("because"):
        yield f"    because {one['because']}"
    for name, text in (one.get("judged") or {}).items():
        yield f"    {name}: {text}"
    yield from _training(one.get("training") or {})


def _training(said: dict[str, Any]) -> Iterator[str]:
    data, start = said.get("data") or {}, said.get("from") or {}
    if data:
        counts = ", ".join(f"{count:,} {name}" for name, count in data.get("counts", {}).items())
        sources = " + ".join(data.get("sources", []))
        yield f"    pictures {data.get('sha256', '')[:12]}: {sources} ({counts})"
    if start:
        new = f", {start['new_pictures']:,} of them new to it"
        yield f"    from {start['run']} ({start['sha256'][:12]}){new}"
    if "test" in said:
        yield f"    test accuracy {said['test']['top1']:.2%} on {said['test']['count']:,} pictures"
