"""`edgecnn explain`."""

import json
from pathlib import Path
from typing import Any

import click

from edgecnn.cli.options import runtime_option


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("picture", type=click.Path(path_type=Path))
@click.option("--label", help="Why this one, or why not.  [default: what it says]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default="explained.png",
    show_default=True,
    help="The picture with the map over it.",
)
@runtime_option
@click.option("--json", "as_json", is_flag=True, help="Result as JSON on stdout.")
def command(
    bundle: Path, picture: Path, label: str | None, out: Path, runtime: Any, as_json: bool
) -> None:
    """Where the network looked: which parts of a picture speak for its answer.

    The exported artifact itself is asked once for each part, with that part covered.

    \b
    edgecnn explain exports/flowers-int8 rose.jpg
    edgecnn explain exports/flowers-int8 rose.jpg --label tulips --out why-no-tulip.png
    """
    from edgecnn.errors import DataError, UnknownName
    from edgecnn.opencv import opencv
    from edgecnn.pictures import read_picture
    from edgecnn.targets.classifier import load
    from edgecnn.targets.explanation import Explanation, overlay

    classifier = load(bundle, runtime)
    said = classifier(read_picture(picture))
    names = classifier.head.names(classifier.bundle.labels)
    label = label or said.label
    if label not in names:
        raise UnknownName("label", label, names)
    explanation = Explanation(classifier.image, names.index(label), classifier.head)
    found = explanation.finish(classifier.infer)
    if not opencv().imwrite(str(out), overlay(explanation.image, found)):
        raise DataError(f"Cannot write {out}: name a file such as explained.png in a folder.")
    row, column = divmod(int(found.argmax()), found.shape[1])
    result = {
        "label": label,
        "said": said.label,
        "probability": round(said.probability, 6),
        "most": [round(column / found.shape[1], 3), round(row / found.shape[0], 3)],
        "lost_log_odds": round(float(found.max()), 3),
        "out": str(out),
    }
    if as_json:
        click.echo(json.dumps(result, indent=1))
        return
    click.echo(f"{said.label} {said.probability:.1%}; what speaks for {label}: {out}")
    if found.max() <= 0:
        click.echo(f"Nothing does: no part of it makes {label} less likely when it is covered.")
