"""`edgecnn show`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecnn.cli.options import reference_option

if TYPE_CHECKING:
    from edgecnn.export.show import Show

MISTAKES = 3


@click.command("show")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--data",
    metavar="DIR|CSV|NAME",
    help="Labelled pictures to find mistakes on; those that export held out by default.",
)
@reference_option
@click.option(
    "--picture", type=click.Path(path_type=Path), help="Also the feature maps of this picture."
)
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="NAME",
    help="Of this layer, as `edgecnn analyze BUNDLE` calls it; may be given several times.  "
    "[default: a few]",
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    default="show.html",
    show_default=True,
    help="The page.",
)
def command(
    bundle: Path,
    data: str | None,
    reference: Path | None,
    picture: Path | None,
    layers: tuple[str, ...],
    html: Path,
) -> None:
    """Look at a bundle: a page with its pictures, mistakes and layers.

    What calibrated it, the pictures on which int8 is worst beside the float network's answers, what
    is taken for what, the error of each layer (of `export --explain`), and feature maps.

    \b
    edgecnn show exports/flowers-int8
    edgecnn show exports/flowers-int8 --data flowers/
    edgecnn show exports/flowers-int8 --picture rose.jpg --layer stem --html maps.html
    """
    from edgecnn.export.show import Show
    from edgecnn.targets.profiling import report

    if layers and picture is None:
        raise click.UsageError("--layer takes --picture FILE, which its feature maps are of.")
    found = Show.of(bundle, data, reference=reference or True, layers=layers, picture=picture)
    report.write(found.page(), html)
    say(found)
    click.echo(html)


def say(found: "Show") -> None:
    """The same in a few lines."""
    manifest = found.bundle.manifest
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    calibration = manifest["calibration"]
    click.echo(f"{found.bundle.name}, calibrated with {calibration['count']} pictures of", nl=False)
    click.echo(f" {calibration['name']} ({calibration['origin']}).")
    click.echo(found.judged)
    for formats, confusion in found.taken():
        for truth, answer, count in confusion.most(MISTAKES):
            click.echo(f"{formats}: {truth} taken for {answer}: {count}")
    for format, ratios in manifest.get("layers_sqnr_db", {}).items():
        worst = sorted(ratios.items(), key=lambda one: one[1])[:MISTAKES]
        layers = ", ".join(f"{layer} {ratio:.1f} dB" for layer, ratio in worst)
        click.echo(f"worst layers, {format}: {layers}")
    for one in found.maps:
        if one.sqnr_db is not None:
            click.echo(f"{one.layer} for this picture: {one.sqnr_db} dB")
