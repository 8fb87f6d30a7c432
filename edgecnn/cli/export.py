"""`edgecnn export`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import edgecnn
from edgecnn.bundle import FORMATS
from edgecnn.cli.options import Number, parse_size
from edgecnn.export.methods import METHODS
from edgecnn.head import KINDS
from edgecnn.preprocessing import NAMED
from edgecnn.shell import typed

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from edgecnn.bundle import Bundle
    from edgecnn.export.verdict import Verdict


@click.command("export")
@click.argument("model", metavar="ARCH|CHECKPOINT|FILE.keras")
@click.option("--int8", "precision", flag_value="int8", default=True, help="Integers (default).")
@click.option("--fp16", "precision", flag_value="fp16", help="Half precision.")
@click.option("--fp32", "precision", flag_value="fp32", help="Single precision.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(FORMATS),
    help="May be given several times; all three by default.",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="Folder of pictures that look like what the camera will see.",
)
@click.option(
    "--held-out",
    type=click.Path(path_type=Path),
    metavar="DIR|CSV",
    help="Labelled pictures that training did not see: they verify the artifacts, and say what "
    "probabilities mean.",
)
@click.option(
    "--weights",
    default="auto",
    metavar="auto|imagenet|random|FILE",
    show_default=True,
    help="auto: newest training run, else pretrained, else random.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Bundle folder; exports/<ARCH>-<precision> by default.",
)
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    help="Text file with a label a line, in the order of the network's outputs.",
)
@click.option(
    "--preprocessing",
    metavar="|".join(NAMED),
    help="How a Keras file of your own wants its pixels; not needed where it scales them itself.",
)
@click.option(
    "--input",
    "size",
    metavar="HxW",
    callback=parse_size,
    help="Height and width, for a network that takes any.",
)
@click.option(
    "--head",
    type=click.Choice(KINDS),
    help="What plain numbers at the end are: one label of many, each on its own, or one yes or no.",
)
@click.option("--output", metavar="NAME", help="Which of several outputs is the classifier.")
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default="auto",
    show_default=True,
    help="How the ranges of int8 are chosen.",
)
@click.option(
    "--weight-bits",
    type=click.Choice(("7", "8")),
    default="8",
    show_default=True,
    help="7 for x86 boards without VNNI, where sums of 8-bit products overflow.",
)
@click.option(
    "--symmetric",
    is_flag=True,
    help="Zero points of 0, for int8 in NVIDIA TensorRT; ONNX only.",
)
@click.option(
    "--max-drop",
    type=Number(0),
    metavar="POINTS",
    help="Fail (exit 1) if an artifact loses more top-1 than this, in percentage points.",
)
@click.option("--explain", "explain_layers", is_flag=True, help="Report and plot every layer.")
@click.option(
    "--verdict/--no-verdict",
    default=True,
    help="Measure int8 against fp16 and float32 on this machine, or not.  [default: do]",
)
@click.option(
    "--features",
    is_flag=True,
    help="Also give what the last layer reads: pictures of other things are told apart better.",
)
@click.option(
    "--sign",
    "sign_with",
    type=click.Path(path_type=Path),
    metavar="KEY",
    help="Sign it with this OpenSSH key, as `edgecnn sign` does.",
)
@click.option("--json", "as_json", is_flag=True, help="Result as JSON on stdout.")
def command(
    model: str,
    precision: Any,
    formats: tuple[str, ...],
    calibration: Path | None,
    held_out: Path | None,
    weights: str,
    out: Path | None,
    labels: Path | None,
    preprocessing: str | None,
    size: tuple[int, int] | None,
    head: Any,
    output: str | None,
    method: Any,
    weight_bits: str,
    symmetric: bool,
    max_drop: float | None,
    explain_layers: bool,
    verdict: bool,
    features: bool,
    sign_with: Path | None,
    as_json: bool,
) -> None:
    """Quantise a network into a bundle that boards run.

    \b
    edgecnn export resnet34 --int8
    edgecnn export runs/lenet5-20260101-120000 --calibration pictures/ --max-drop 0.5
    edgecnn export my.keras --labels labels.txt --preprocessing -1..1 --calibration pictures/
    """
    from edgecnn.cli.progress import TerminalProgress
    from edgecnn.labels import read_labels
    from edgecnn.quiet import import_keras_for

    names = None if labels is None else read_labels(labels)
    import_keras_for(model)
    with TerminalProgress() as progress:
        bundle = edgecnn.export(
            model,
            formats or (("onnx",) if symmetric else FORMATS),
            precision,
            calibration,
            out,
            held_out=held_out,
            weights=weights,
            labels=names,
            preprocessing=preprocessing,
            input_shape=size,
            head=head,
            output=output,
            method=method,
            weight_bits=7 if weight_bits == "7" else 8,
            max_drop=max_drop,
            explain_layers=explain_layers,
            symmetric=symmetric,
            # It would be that of a processor which the bundle is not for.
            verdict=verdict and not symmetric,
            features=features,
            sign_with=sign_with,
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps(summary(bundle), indent=1))
    else:
        show(bundle)


def summary(bundle: "Bundle") -> dict[str, Any]:
    """What `export --json` prints."""
    artifacts = {
        name: {
            "files": [file.path for file in artifact.files],
            "bytes": artifact.bytes,
            **artifact.details["verification"],
            "int8_ops": artifact.details["int8_ops"],
            "float_ops": artifact.details["float_ops"],
            "float_op_names": artifact.details["float_op_names"],
        }
        for name, artifact in bundle.artifacts.items()
    }
    return {
        "bundle": str(bundle.path),
        "weights": bundle.manifest["weights"],
        "precision": bundle.precision,
        "calibration": bundle.manifest["calibration"],
        "quantisation": bundle.manifest["quantisation"],
        "artifacts": artifacts,
        "worth": bundle.manifest.get("worth"),
        "layers_sqnr_db": bundle.manifest.get("layers_sqnr_db"),
        "seconds": bundle.manifest["seconds"],
    }


def show(bundle: "Bundle") -> None:
    """Print the summary table on stdout."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from edgecnn.export.explain import worst
    from edgecnn.export.verdict import Verdict

    calibration, weights = bundle.manifest["calibration"], bundle.weights
    table = Table(
        title=f"{bundle.name}, {weights.kind} weights ({weights.source})", title_justify="left"
    )
    table.add_column("format")
    columns = ["size", "agreement", "max error"]
    labelled = all("top1_drop" in a.details["verification"] for a in bundle.artifacts.values())
    if labelled:
        columns.append("top-1 drop")
    for column in (*columns, "int8 / float ops", "write + verify"):
        table.add_column(column, justify="right")
    seconds = bundle.manifest["seconds"]
    for name, artifact in bundle.artifacts.items():
        found = artifact.details["verification"]
        row = [
            name,
            f"{artifact.bytes / 1e6:.2f} MB",
            f"{found['agreement_top1']:.1%}",
            f"{found['max_abs_error']:.4f}",
        ]
        if labelled:
            low, high = found["top1_drop_interval"]
            row.append(f"{found['top1_drop']:.2f} pt [{low:.2f}, {high:.2f}]")
        row += [
            f"{artifact.details['int8_ops']} / {artifact.details['float_ops']}",
            f"{seconds[f'write {name}']:.1f} + {seconds[f'verify {name}']:.1f} s",
        ]
        table.add_row(*row)
    console = Console()
    ladder = bundle.manifest["quantisation"].get("ladder", [])
    if len(ladder) > 1:
        console.print(_ladder_table(ladder))
    console.print(table)
    if "worth" in bundle.manifest:
        _show_verdict(console, Verdict.from_json(bundle.manifest["worth"]))
    for name, ratios in bundle.manifest.get("layers_sqnr_db", {}).items():
        found = ", ".join(f"{layer} {ratio:.1f} dB" for layer, ratio in worst(ratios))
        console.print(f"worst layers, {name}: {found}", highlight=False)
    console.print(
        f"Against Keras float32 on {calibration['held_out']} held-out pictures of "
        f"{calibration['name']}; calibrated with {calibration['count']}. "
        f"{sum(seconds.values()):.1f} s in all.",
        highlight=False,
    )
    sufficiency = bundle.manifest["quantisation"].get("sufficiency", {"said": []})
    for line in (*sufficiency["said"], *_worth(bundle)):
        console.print(line, highlight=False, soft_wrap=True)
    command = typed("edgecnn", "run", bundle.path, "--source", "0")
    # In one piece, to be copied; brackets in a folder's name are no markup.
    console.print(
        f"[bold]{escape(str(bundle.path))}[/bold]  ← {escape(command)}",
        soft_wrap=True,
        highlight=False,
    )


def _worth(bundle: "Bundle") -> Iterator[str]:
    """What its probabilities mean, and from how many pictures that is known."""
    told = {name: artifact.details["reliability"] for name, artifact in bundle.artifacts.items()}
    said = []
    for name, found in told.items():
        one = f"{name} {found['temperature']:.2f}"
        if "raw" in found:
            before, after = (found[kind]["ece"] for kind in ("raw", "calibrated"))
            one += f" (calibration error {before:.3f} → {after:.3f})"
        said.append(one)
    yield f"Temperatures of the probabilities: {', '.join(said)}."
    if not any("raw" in found for found in told.values()):
        yield (
            "With them int8 is as sure as the float network; how sure that should be, and "
            "--coverage, take held-out pictures with labels (--held-out)."
        )


def _show_verdict(console: "Console", verdict: "Verdict") -> None:
    from rich.table import Table

    table = Table(
        title=f"each precision on {verdict.cpu}, threads: {verdict.threads}", title_justify="left"
    )
    table.add_column("runtime")
    table.add_column("precision")
    columns = ["ms", "MB", "peak memory, MB", "agreement"]
    labelled = all(duel.int8.top1_drop is not None for duel in verdict.duels)
    if labelled:
        columns.append("top-1 drop")
    for column in columns:
        table.add_column(column, justify="right")
    for duel in verdict.duels:
        for precision, cost in duel.costs.items():
            row = [
                duel.runtime,
                precision,
                f"{cost.p50_ms:.2f}",
                f"{cost.bytes / 1e6:.2f}",
                f"{cost.peak_bytes / 1e6:.0f}",
                "–" if cost.agreement_top1 is None else f"{cost.agreement_top1:.1%}",
            ]
            if labelled:
                row.append(f"{cost.top1_drop:.2f} pt")
            table.add_row(*row)
    console.print(table)
    console.print(verdict.sentence, highlight=False)
    if verdict.disturbances:
        reason = f"[yellow]The machine was not quiet:[/yellow] {verdict.disturbances[0]}."
        console.print(reason, highlight=False)


def _ladder_table(ladder: list[dict[str, Any]]) -> "Table":
    from rich.table import Table

    table = Table(title="repair: top-1 lost, points", title_justify="left")
    table.add_column("step")
    for format in ladder[0]["points_lost"]:
        table.add_column(format, justify="right")
    for rung in ladder:
        table.add_row(rung["step"], *(f"{lost:.2f}" for lost in rung["points_lost"].values()))
    return table
