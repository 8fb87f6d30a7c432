"""`edgecnn label`."""

import getpass
import sys
from pathlib import Path

import click
from rich.progress import Progress

from edgecnn.labelling.formats import FORMATS

FORMAT_AND_PATH = (click.Choice(tuple(FORMATS)), click.Path(path_type=Path))


@click.command()
@click.argument("inbox", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="Suggest what this network says, and group by its features; else by what the frames came "
    "with, and by their colours.",
)
@click.option("--by", metavar="NAME", help="Who labels; the page can change it.  [default: you]")
@click.option(
    "--web",
    default="127.0.0.1:8085",
    show_default=True,
    metavar="HOST:PORT",
    help="Where the page is. Beyond 127.0.0.1 it asks for a token: $EDGECNN_WEB_TOKEN, else a new "
    "one.",
)
@click.option(
    "--export",
    "exported",
    type=FORMAT_AND_PATH,
    metavar="FORMAT PATH",
    help=f"Write what is labelled as {', '.join(FORMATS)}, and end.",
)
@click.option(
    "--import",
    "imported",
    type=FORMAT_AND_PATH,
    metavar="FORMAT PATH",
    help="Take labels from such a file or folder as those of --by, and end.",
)
def command(
    inbox: Path,
    bundle: Path | None,
    by: str | None,
    web: str,
    exported: tuple[str, Path] | None,
    imported: tuple[str, Path] | None,
) -> None:
    """Say what kept frames show, in the browser: groups of alike ones at once.

    The labels are in the inbox's labels.csv, and `edgecnn train --data INBOX` takes them; frames
    stay where they are. Several people may label the same frames; where they disagree, the page
    shows it, and nobody trains on it. Ctrl-C ends.

    \b
    edgecnn label inbox
    edgecnn label inbox --bundle exports/flowers-int8 --by ann
    edgecnn label inbox --export coco labels.json
    """
    from edgecnn.labelling import formats
    from edgecnn.labelling.labels import person

    who = person(by or getpass.getuser())
    if exported:
        count = formats.write(*exported, inbox)
        click.echo(f"{exported[1]}: {count} frames.")
    elif imported:
        count, strangers = formats.read(*imported, inbox, who)
        click.echo(f"{inbox}: labels of {count} frames taken.")
        if strangers:
            click.echo(f"note: {strangers} pictures are not of this inbox.", err=True)
    else:
        _label(inbox, bundle, who, web)


def _label(folder: Path, bundle: Path | None, by: str, web: str) -> None:
    from edgecnn.errors import require

    require("aiohttp", what="edgecnn label", package="aiohttp", extra="web")
    from edgecnn import inbox
    from edgecnn.errors import DataError
    from edgecnn.labelling.index import build
    from edgecnn.labelling.labels import Labels
    from edgecnn.labelling.server import serve
    from edgecnn.labelling.session import Session
    from edgecnn.targets.classifier import load
    from edgecnn.targets.live.web.access import Access

    access, frames = Access.parse(web), inbox.read(folder)
    if not frames:
        raise DataError(f"{folder} holds no frames yet.")
    labels = Labels(folder, frames)
    try:
        classifier = load(bundle) if bundle else None
        with Progress(transient=True, disable=not sys.stderr.isatty()) as shown:
            task = shown.add_task("looking at the frames", total=None)
            index = build(
                *(folder, frames, classifier),
                lambda done, of: shown.update(task, completed=done, total=of),
            )
        names = classifier.head.names(classifier.bundle.labels) if classifier else ()
        session = Session(folder, index, labels, classes=names, by=by)
        serve(session, access, lambda url: click.echo(f"{url} (Ctrl-C ends)", err=True))
    finally:
        labels.close()
