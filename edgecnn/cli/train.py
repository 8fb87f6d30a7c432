"""`edgecnn train`: train a network on pictures."""

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from edgecnn.checkpoint import Checkpoint, newest
from edgecnn.errors import EdgeCnnError
from edgecnn.head import KINDS
from edgecnn.preprocessing import NAMED
from edgecnn.shell import typed
from edgecnn.training.settings import CHOICES, Settings

DEFAULTS = Settings()
WORST = 5
"""So many lines of what got worse."""


class InputShape(click.ParamType[tuple[int, int, int]]):
    """`96x96` or `96x96x1` as `(height, width, channels)`; three channels by default."""

    name = "HxW[xC]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int, int]:
        """Parse it, or fail with an example."""
        match = re.fullmatch(r"(\d+)x(\d+)(?:x([13]))?", str(value))
        if match is None:
            self.fail(f"'{value}' is not an input such as 96x96 or 28x28x1.", param, ctx)
        return int(match[1]), int(match[2]), int(match[3] or 3)


def setting(name: str, text: str, **kind: Any) -> Callable[[Any], Any]:
    """An option for a field of `Settings`."""
    flag = f"--{name.replace('_', '-')}"
    default = getattr(DEFAULTS, name)
    if default is False:
        return click.option(flag, is_flag=True, help=text)
    if name in CHOICES:
        kind["type"] = click.Choice(CHOICES[name])
    return click.option(
        flag, name, default=default, show_default=default is not None, help=text, **kind
    )


@click.command()
@click.argument("architecture", metavar="[ARCH]", required=False)
@click.option(
    "--data",
    "sources",
    metavar="SOURCE",
    multiple=True,
    help="Where the labelled pictures come from, see above; may be given several times.",
)
@click.option(
    "--from",
    "start",
    type=click.Path(path_type=Path),
    metavar="RUN|BUNDLE",
    help="Go on from this network with pictures it knows and new ones, and compare the two.",
)
@click.option(
    "--qat",
    metavar="RUN|ARCH|FILE.keras",
    help="Train the int8 weights and scales of this network, which needs no labels.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder of the run. [default: runs/ARCH-TIME]"
)
@click.option("--resume", is_flag=True, help="Go on with the newest unfinished run, or with --out.")
@setting("epochs", "Passes over the training pictures.")
@setting("batch_size", "Pictures in a batch.")
@setting("learning_rate", "The highest rate; a cosine after a warm-up.")
@setting("warmup_epochs", "Epochs in which the rate rises.")
@setting("optimizer", "Optimizer.")
@setting("weight_decay", "Decay of weights, not of biases or BatchNorm.")
@setting("label_smoothing", "Share of certainty spread over all classes.")
@setting("patience", "Stop after so many epochs without gain; 0 never stops.")
@setting("augment", "Random changes to training pictures; light never mirrors.")
@setting("balance", "Show small classes as often as large ones, in augmented copies.")
@setting("weights", "random, imagenet, a weights file, or an earlier run.")
@setting("head_epochs", "Epochs with the pretrained part frozen. [default: a third]", type=int)
@setting("unfreeze_from", "First layer or block to fine-tune. [default: the first]", metavar="NAME")
@click.option(
    "--input",
    "input_shape",
    type=InputShape(),
    help="Input of the network. [default: as published]",
)
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    help="With --qat, of a Keras file of your own: as in `edgecnn export`.",
)
@click.option(
    "--preprocessing", metavar="|".join(NAMED), help="With --qat: as in `edgecnn export`."
)
@click.option("--head", type=click.Choice(KINDS), help="With --qat: as in `edgecnn export`.")
@click.option("--output", metavar="NAME", help="With --qat: as in `edgecnn export`.")
@setting("resize", "How pictures get that size. [default: as published]")
@setting("split", "Shares of train, val and test.")
@setting("split_seed", "Seed of the division.")
@setting("skip_bad", "Leave out files that are no pictures.")
@setting("seed", "Seed of weights, order and augmentation.")
@setting("precision", "mixed: 16 bits; auto: on a GPU only.")
@setting("cache", "Where prepared pictures are kept.")
@setting("strategy", "mirrored: all GPUs here; multiworker: several machines, by TF_CONFIG.")
@setting("tensorboard", "Write TensorBoard logs into the run.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    architecture: str | None,
    sources: tuple[str, ...],
    start: Path | None,
    qat: str | None,
    out: Path | None,
    resume: bool,
    labels: Path | None,
    preprocessing: str | None,
    head: Any,
    output: str | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Train ARCH on labelled pictures and write a checkpoint.

    SOURCE is a folder with a subfolder for each class (or train/ val/ test/ with such
    subfolders, or a labels.csv), or one of digits, mnist, fashion_mnist, cifar10, tfds:NAME.
    NAME:PATH reads one of these from local files. Frames that boards kept and people labelled are
    a SOURCE too: the folder that `edgecnn label` wrote its labels into.

    --from keeps what the network knows: new classes come behind its own. No picture that it was
    tested on is trained on, and both networks are compared on the same pictures.

    \b
    edgecnn train lenet5 --data digits
    edgecnn train efficientnet_lite0 --data my_pictures --weights imagenet --augment standard
    edgecnn train fashion_cnn --data fashion_mnist:DIR --epochs 6 --augment none
    edgecnn train lenet5 --resume
    edgecnn train --from runs/flowers --data my_pictures --data inbox --epochs 6
    edgecnn train --qat runs/lenet5-20260101-120000
    edgecnn train --qat my.keras --labels labels.txt --preprocessing -1..1 --data my_pictures
    """
    import edgecnn.training
    from edgecnn.labels import read_labels

    of_qat = {"labels": labels, "preprocessing": preprocessing, "head": head, "output": output}
    if not resume:
        _check(architecture, sources, start, qat, of_qat)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("edgecnn").setLevel(logging.INFO)
    if resume:
        given = [p.opts[0] for p in ctx.command.params if _given(ctx, p)]
        extra = [
            name for name in given if name not in ("architecture", "--resume", "--out", "--json")
        ]
        if extra:
            raise EdgeCnnError(f"--resume goes on as the run began: leave out {', '.join(extra)}.")
        checkpoint = edgecnn.training.resume(architecture, out=out)
    elif qat is not None:
        names = {p.name for p in ctx.command.params if _given(ctx, p)} & settings.keys()
        of_qat["labels"] = None if labels is None else read_labels(labels)
        chosen = {name: settings[name] for name in names}
        data = sources[0] if sources else None
        checkpoint = edgecnn.training.train_qat(qat, data, out=out, **of_qat, **chosen)
    elif start is not None:
        for name in ("weights", "input_shape", "resize"):
            if settings[name] == getattr(DEFAULTS, name):
                del settings[name]
        checkpoint = edgecnn.training.retrain(start, sources, out=out, **settings)
    else:
        checkpoint = edgecnn.training.train(str(architecture), sources, out=out, **settings)
    if checkpoint is None:
        return  # a worker that is not the chief
    if as_json:
        click.echo(json.dumps(summary(checkpoint), indent=2))
    else:
        _print_summary(checkpoint)


def _check(
    architecture: str | None,
    sources: tuple[str, ...],
    start: Path | None,
    qat: str | None,
    of_qat: dict[str, Any],
) -> None:
    """Raise `EdgeCnnError` for what does not go together."""
    if qat is not None and start is not None:
        raise EdgeCnnError("--from trains with labels, --qat without: do one after the other.")
    for option, given in (("--qat", qat), ("--from", start)):
        if given is not None and architecture is not None:
            raise EdgeCnnError(f"{option} names the network itself: leave out '{architecture}'.")
    if qat is not None:
        if len(sources) > 1:
            raise EdgeCnnError("--qat takes one --data.")
        return
    if architecture is None and start is None:
        raise EdgeCnnError("Say what to train: a network of `edgecnn zoo`, --from RUN, --qat FILE.")
    if not sources:
        raise EdgeCnnError("Say what to train on: --data DIR, or --data digits.")
    for name, value in of_qat.items():
        if value is not None:
            raise EdgeCnnError(f"--{name} is for --qat: other training knows it itself.")


def summary(checkpoint: Checkpoint) -> dict[str, Any]:
    """A finished run as `edgecnn train --json` shows it."""
    details = checkpoint.details
    keys = (
        *("epochs", "best_epoch", "seconds", "parameters", "best_val_accuracy", "test", "val"),
        *("qat", "from", "comparison", "learning_curve"),
    )
    return {
        "checkpoint": str(checkpoint.path),
        "architecture": checkpoint.architecture,
        "labels": list(checkpoint.labels),
        **{key: details[key] for key in keys if key in details},
    }


def _given(ctx: click.Context, parameter: click.Parameter) -> bool:
    source = ctx.get_parameter_source(parameter.name or "")
    return source is not None and source.name == "COMMANDLINE"


def _print_summary(checkpoint: Checkpoint) -> None:
    details = checkpoint.details
    if "qat" in details:
        _print_qat(details["qat"])
    else:
        _print_accuracy(details)
    click.echo(
        f"best epoch {details['best_epoch']} of {details['epochs']}, {details['seconds']:.0f} s"
    )
    click.echo(f"checkpoint {checkpoint.path}")
    click.echo(f"next: {typed('edgecnn', 'export', _export_argument(checkpoint), '--int8')}")


def _print_accuracy(details: dict[str, Any]) -> None:
    judged = "test" if "test" in details else "val"
    figures = details[judged]
    click.echo(f"{judged} accuracy {figures['top1']:.2%} on {figures['count']:,} pictures")
    shares = {label: share for label, share in figures["per_class"].items() if share is not None}
    worst = sorted(shares, key=lambda label: shares[label])[:3]
    click.echo("  hardest: " + ", ".join(f"{label} {shares[label]:.1%}" for label in worst))
    if "comparison" in details:
        _print_comparison(details["from"]["run"], details["comparison"])
    if "learning_curve" in details:
        _print_curve(details["learning_curve"])


def _print_comparison(start: str, found: dict[str, Any]) -> None:
    from edgecnn.paired import Change

    whole = Change.from_json(found)
    click.echo(f"against {start}, on the same {whole.count:,} pictures: {whole.text}")
    for source, of_source in found.get("per_source", {}).items():
        click.echo(f"  of {source}: {Change.from_json(of_source).text}")
    classes = {label: Change.from_json(one) for label, one in found["per_class"].items()}
    worse = sorted((one.points, label) for label, one in classes.items() if one.points < 0)
    for _, label in worse[:WORST]:
        one = classes[label]
        click.echo(f"  worse: {label} {one.text}, {one.gained} gained, {one.lost} lost")
    lost = found["lost_pictures"]
    for picture in lost[:WORST]:
        click.echo(f"  lost: {picture['file']}, {picture['label']} taken for {picture['answer']}")
    if len(lost) > WORST:
        click.echo(f"  and {len(lost) - WORST} more in checkpoint.json")


def _print_curve(curve: dict[str, Any]) -> None:
    low, high = curve["interval"]
    click.echo(
        f"{curve['more']} more labels like the new ones would bring about {curve['gain']:+.1f} "
        f"points on pictures like them ({low:.1f} to {high:.1f})"
    )


def _print_qat(qat: dict[str, Any]) -> None:
    click.echo(
        f"int8 against float on {qat['judged_on']:,} pictures not trained on: information lost "
        f"{qat['kl_before']:.5f} -> {qat['kl']:.5f} nats, same answer "
        f"{qat['agreement_before']:.1%} -> {qat['agreement']:.1%}"
    )


def _export_argument(checkpoint: Checkpoint) -> str:
    """The architecture's name alone where export would find this very run by it."""
    found = newest(checkpoint.architecture)
    if found is not None and found.path.resolve() == checkpoint.path.resolve():
        return checkpoint.architecture
    return str(checkpoint.path)
