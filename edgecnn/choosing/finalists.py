"""The best candidates tried on the user's pictures, and the winner trained for good."""

import logging
from dataclasses import replace
from pathlib import Path

from edgecnn.checkpoint import RUNS, Checkpoint
from edgecnn.choosing.choice import Choice, accuracy_of
from edgecnn.choosing.front import Candidate, front
from edgecnn.errors import CheckFailed
from edgecnn.shell import typed

log = logging.getLogger(__name__)
FINALISTS = 3
HEAD_EPOCHS = 4
"""Of a trial: the pretrained part stays as it is, and only a new classifier learns."""
EPOCHS = 12
"""Of the winner, a third of them with the pretrained part frozen."""


def try_out(
    found: Choice,
    data: str | Path,
    *,
    accuracy: float | None = None,
    finalists: int = FINALISTS,
    head_epochs: int = HEAD_EPOCHS,
    epochs: int = EPOCHS,
    out: Path | None = None,
) -> Choice:
    """Train what promises most on pictures, `data` being a source as of `edgecnn.training.train`.

    Finalists are networks within the limits, the largest input of each, by their accuracy on
    ImageNet. Each trains a new classifier on frozen features; the fastest that reaches `accuracy`,
    or without one the most accurate, is then fine-tuned as a run of its own, ready for export, and
    the choice is among its engines. Raises what `train` raises, and `CheckFailed` where the winner
    stays below `accuracy`.
    """
    from edgecnn.training import train
    from edgecnn.training.run import new_folder

    tried: list[tuple[Candidate, Checkpoint]] = []
    for one in promising(found, finalists):
        log.info("Trying %s at %d×%d on frozen features.", one.architecture, one.side, one.side)
        run = train(
            one.architecture,
            data,
            # Where `edgecnn export ARCH` does not take it for a network that is ready.
            out=RUNS / "trials" / new_folder(one.architecture).name,
            weights="imagenet",
            epochs=head_epochs,
            head_epochs=head_epochs,
            augment="none",
            input_shape=(one.side, one.side, 3),
        )
        tried.append((one, run))
    one, trial = winner(tried, accuracy)
    log.info("%s at %d×%d wins; it is fine-tuned now.", one.architecture, one.side, one.side)
    run = train(
        one.architecture,
        data,
        out=out,
        weights="imagenet",
        epochs=epochs,
        input_shape=(one.side, one.side, 3),
    )
    figure = accuracy_of(run)
    if accuracy is not None and figure.value < accuracy:
        raise CheckFailed(
            f"The winner, {run.path}, is right in {figure.value:.1%} of its test pictures "
            f"({figure.low:.1%} to {figure.high:.1%}) where {accuracy:.1%} are asked for: label "
            "more pictures, or allow more latency."
        )
    mine = [
        replace(other, accuracy=figure, run=str(run.path))
        for other in found.candidates
        if (other.architecture, other.side) == (one.architecture, one.side)
    ]
    others = [
        replace(other, accuracy=accuracy_of(checkpoint), run=str(checkpoint.path))
        for candidate, checkpoint in tried
        if checkpoint is not trial
        for other in found.candidates
        if (other.architecture, other.side) == (candidate.architecture, candidate.side)
    ]
    return replace(
        found,
        limits=replace(found.limits, accuracy=accuracy),
        front=tuple(front([*mine, *others])),
        fitting=len(mine) + len(others),
        unknown=0,
        candidates=(*mine, *others),
        notes=(
            f"Accuracies are of your own test pictures. {run.path} is fine-tuned; the other "
            "finalists learnt a classifier on frozen features only. Next: "
            + typed("edgecnn", "export", run.path, "--int8"),
            *found.notes[1:],
        ),
    )


def promising(found: Choice, count: int) -> list[Candidate]:
    """The fastest way of each network's largest input, the most accurate on ImageNet first."""
    best: dict[str, Candidate] = {}
    for one in sorted(found.candidates, key=lambda x: (-x.side, x.latency_ms.value)):
        best.setdefault(one.architecture, one)
    return sorted(best.values(), key=lambda x: -(x.accuracy.value if x.accuracy else 0.0))[:count]


def winner(
    tried: list[tuple[Candidate, Checkpoint]], accuracy: float | None
) -> tuple[Candidate, Checkpoint]:
    """The fastest whose interval reaches the accuracy asked for, else the most accurate."""
    figures = [(accuracy_of(run), one, run) for one, run in tried]
    reaching = [entry for entry in figures if accuracy is not None and entry[0].high >= accuracy]
    if reaching:
        _, one, run = min(reaching, key=lambda entry: entry[1].latency_ms.value)
    else:
        _, one, run = max(figures, key=lambda entry: entry[0].value)
    return one, run
