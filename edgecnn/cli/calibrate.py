"""`edgecnn calibrate`."""

import json
from pathlib import Path
from typing import Any

import click


@click.command("calibrate")
@click.argument("source", metavar="SOURCE")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write.")
@click.option(
    "--count", type=click.IntRange(2), default=200, show_default=True, help="Pictures to choose."
)
@click.option(
    "--select",
    "select_by",
    type=click.Choice(("diverse", "balanced", "random")),
    default="diverse",
    show_default=True,
    help="As different as possible, each class alike, or drawn.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of what is drawn.")
@click.option(
    "--network",
    metavar="ARCH|CHECKPOINT",
    help="Judge what is different by this network's features instead of by looks.",
)
@click.option(
    "--exclude",
    type=click.Path(path_type=Path),
    help="Evaluation pictures: refuse to calibrate with any of them.",
)
@click.option("--skip-bad", is_flag=True, help="Leave out files that are no whole pictures.")
@click.option("--json", "as_json", is_flag=True, help="Result as JSON on stdout.")
def command(
    source: str,
    out: Path,
    count: int,
    select_by: Any,
    seed: int,
    network: str | None,
    exclude: Path | None,
    skip_bad: bool,
    as_json: bool,
) -> None:
    """Choose calibration pictures from a folder, checkpoint, video or camera.

    \b
    edgecnn calibrate pictures/ --out calibration/kitchen
    edgecnn calibrate drive.mp4 --out calibration/road --count 100
    edgecnn export resnet34 --int8 --calibration calibration/kitchen
    """
    from edgecnn.calibration import calibrate
    from edgecnn.calibration.calibration_set import MANIFEST

    if network is not None:
        from edgecnn.quiet import import_keras

        import_keras()
    found = calibrate(
        source,
        out,
        count=count,
        select_by=select_by,
        seed=seed,
        network=network,
        exclude=exclude,
        skip_bad=skip_bad,
    )
    manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    for warning in manifest["warnings"]:
        click.echo(f"note: {warning}", err=True)
    if as_json:
        del manifest["pictures"]
        click.echo(json.dumps({"out": str(out), "sha256": found.sha256, **manifest}, indent=1))
    else:
        click.echo(
            f"{out}: {len(found.pictures)} pictures to calibrate with, "
            f"{len(found.held_out)} held out to verify."
        )
