"""Training from the first picture to the finished checkpoint."""

import contextlib
import logging
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal, overload

from edgecnn import __version__, zoo
from edgecnn.arguments import one_of
from edgecnn.bundle import MANIFEST as BUNDLE_MANIFEST
from edgecnn.bundle import Bundle
from edgecnn.checkpoint import MANIFEST, MODEL, Checkpoint, origin_of
from edgecnn.data import Dataset, open_source
from edgecnn.data.places import Places
from edgecnn.errors import DataError, EdgeCnnError, require
from edgecnn.preprocessing import Preprocessing
from edgecnn.shell import typed
from edgecnn.training.run import (
    PICTURES_FOLDER,
    STATE_FOLDER,
    Run,
    new_folder,
    newest_unfinished,
    now,
    refuse_if_used,
)
from edgecnn.training.settings import Settings
from edgecnn.training.strategy import open_distribution, read_tf_config

log = logging.getLogger(__name__)
Sources = str | Path | Sequence[str | Path]


@overload
def train(
    architecture: str,
    data: Sources,
    *,
    out: str | Path | None = None,
    strategy: Literal["none", "mirrored"] = "none",
    **settings: Any,
) -> Checkpoint: ...


@overload
def train(
    architecture: str,
    data: Sources,
    *,
    out: str | Path | None = None,
    strategy: Literal["multiworker"],
    **settings: Any,
) -> Checkpoint | None: ...


def train(
    architecture: str, data: Sources, *, out: str | Path | None = None, **settings: Any
) -> Checkpoint | None:
    """Train a network of the zoo and write a checkpoint that `export` takes.

    `data` is a source as `edgecnn.data` describes, or several; `settings` are the fields of
    `edgecnn.training.Settings`. The checkpoint goes to `out`, by default
    `runs/<architecture>-<time>`. Progress goes to stderr, remarks to the log. The result is None
    on a worker that is not the chief of a `multiworker` run: only the chief writes.

    Raises `DataError` for pictures that cannot be trained on, `WeightsError` for weights that do
    not fit, `UnknownName` and `EdgeCnnError` for settings out of range: all before an epoch is
    spent.
    """
    return _begin(architecture, data, out, settings)


def retrain(
    start: str | Path, data: Sources, *, out: str | Path | None = None, **settings: Any
) -> Checkpoint | None:
    """Go on from a finished network with other pictures: those it knows, and new ones.

    `start` is a run, or a bundle whose run is here; architecture, input and weights are its own.
    Its classes keep their order and their rows of the classifier, new ones come behind. What it
    was tested on is tested on again and never trained on, and both networks are compared on these
    very pictures: `comparison` in the result's `details`. Otherwise as `train`.
    """
    run = starting_run(Path(start))
    shape = run.preprocessing.shape[1:]
    own = {"weights": str(run.path), "input_shape": shape, "resize": run.preprocessing.resize}
    for name in own.keys() & settings.keys():
        raise EdgeCnnError(f"--from brings its own {name}: leave that out.")
    return _begin(run.architecture, data, out, settings | own, str(run.path))


def starting_run(path: Path) -> Checkpoint:
    """The run at that path, or that a bundle there was exported from.

    Raises `DataError` where there is none.
    """
    if (path / BUNDLE_MANIFEST).is_file():
        path = origin_of(Bundle.load(path))
    return Checkpoint.load(path)


def _begin(
    architecture: str,
    data: Sources,
    out: str | Path | None,
    settings: dict[str, Any],
    start: str | None = None,
) -> Checkpoint | None:
    for name in settings:
        one_of("setting", name, (field.name for field in fields(Settings)))
    chosen = Settings(**settings)
    zoo.get(architecture)
    worker = _worker(chosen, out)
    path = Path(out) if out is not None else new_folder(architecture)
    if worker == 0:
        refuse_if_used(path)
    sources = tuple(map(str, (data,) if isinstance(data, str | Path) else data))
    dataset = _open(sources, chosen, start)
    return _train(Run(path, architecture, sources, chosen, dataset.sha256, start=start), dataset)


def resume(architecture: str | None = None, *, out: str | Path | None = None) -> Checkpoint | None:
    """Go on with an interrupted run: the one at `out`, or the newest unfinished of its kind.

    Raises `DataError` if there is none, or if its pictures were changed meanwhile.
    """
    if out is None and architecture is None:
        raise DataError("Say which run to go on with: its folder by --out, or its network.")
    run = Run.load(Path(out) if out is not None else newest_unfinished(str(architecture)))
    if (run.path / MANIFEST).exists():
        raise DataError(f"{run.path} is finished: train again without --resume.")
    if architecture not in (None, run.architecture):
        raise DataError(f"{run.path} trains a {run.architecture}, not a {architecture}.")
    log.info("Going on with %s.", run.path)
    if run.qat is not None:
        from edgecnn.training.qat import go_on

        return go_on(run)
    dataset = _open(run.sources, run.settings, run.start)
    run.refuse_if_changed(dataset.sha256)
    return _train(run, dataset)


def _open(sources: tuple[str, ...], settings: Settings, start: str | None) -> Dataset:
    dataset = open_source(
        sources,
        split=settings.split,
        split_seed=settings.split_seed,
        skip_bad=settings.skip_bad,
        labels=Checkpoint.load(Path(start)).labels if start else (),
        places=Places.load(Path(start)) if start else None,
    )
    for warning in dataset.warnings:
        log.warning("%s", warning)
    return dataset


def preprocessing_for(architecture: str, settings: Settings) -> Preprocessing:
    """The network's own preprocessing, at the size and with the policy asked for."""
    entry = zoo.get(architecture)
    chosen = entry.preprocessing
    if settings.input_shape:
        chosen = entry.preprocessing_for(settings.input_shape)
    return replace(chosen, resize=settings.resize) if settings.resize else chosen


def _worker(settings: Settings, out: object) -> int:
    """Index of this process among those that train together; 0 is the one that writes."""
    if settings.strategy != "multiworker":
        return 0
    if out is None:
        raise EdgeCnnError("--strategy multiworker needs --out, the same folder for all workers.")
    return read_tf_config()[0]


def _train(run: Run, dataset: Dataset) -> Checkpoint | None:
    from edgecnn.quiet import import_keras

    import_keras()
    require("tensorflow", what="Training", package="TensorFlow", extra="train")
    keras = require("keras", what="Training", package="Keras", extra="train")
    from edgecnn.training.comparison import trained_whole
    from edgecnn.training.inputs import open_inputs
    from edgecnn.training.loop import run_phases
    from edgecnn.training.network import build_network
    from edgecnn.training.precision import computing_in
    from edgecnn.training.state import RunState

    settings = run.settings
    require("matplotlib", what="Training", package="Matplotlib", extra="train")
    if settings.tensorboard:
        require("tensorboard", what="--tensorboard", package="TensorBoard", extra="tensorboard")
    preprocessing = preprocessing_for(run.architecture, settings)
    with contextlib.ExitStack() as stack:
        # What Keras prints is progress: stdout is left to the result.
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        distribution = open_distribution(settings.strategy)
        stack.enter_context(computing_in(settings.precision))
        keras.utils.set_random_seed(settings.seed)
        state = RunState.load(run.path / STATE_FOLDER)
        folder = run.path
        if distribution.worker > 0:
            # Every worker keeps its state, since all take the same steps; only the chief's stays.
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            state = state.moved_to(folder / STATE_FOLDER)
        with distribution.scope():
            network = build_network(
                run.architecture, preprocessing, dataset.labels, settings.weights
            )
        if run.start and trained_whole(Checkpoint.load(Path(run.start))):
            network = network.all_new()
        if distribution.worker == 0:
            run.write()
        inputs = open_inputs(dataset, preprocessing, settings, folder / PICTURES_FOLDER)
        log.info(
            "%s, %d classes: %s pictures to train on, %s to choose the best epoch, %s to test.",
            *(run.architecture, len(dataset.labels)),
            *(f"{len(split):,}" for split in (dataset.train, dataset.val, dataset.test)),
        )
        try:
            run_phases(network, preprocessing, inputs, settings, state, folder, distribution)
        except KeyboardInterrupt:
            log.warning(
                "Stopped after epoch %d. Go on with: %s",
                len(state.history),
                typed("edgecnn", "train", run.architecture, "--resume", "--out", run.path),
            )
            raise
        if distribution.worker > 0:
            return None
        model = network.finished()
    return _finish(run, dataset, preprocessing, model, state)


def _finish(
    run: Run, dataset: Dataset, preprocessing: Preprocessing, model: Any, state: Any
) -> Checkpoint:
    """Everything that is written after the last epoch; `checkpoint.json` last."""
    import keras
    import tensorflow as tf

    from edgecnn.training.calibration_pictures import write_calibration
    from edgecnn.training.comparison import compare_with
    from edgecnn.training.plots import draw_confusion, draw_curves, draw_mistakes
    from edgecnn.training.scores import score

    settings = run.settings
    judged = "test" if len(dataset.test) else "val"
    split = dataset.test if judged == "test" else dataset.val
    scores = score(model, split, preprocessing)
    before = Places.load(Path(run.start)) if run.start else None
    compared = compare_with(run.start, scores, split, dataset, before) if run.start else {}
    title = f"{run.architecture} on {dataset.source}: {judged} accuracy {scores.top1:.2%}"
    draw_curves(run.path / "curves.png", state.history, state.best_epoch)
    draw_confusion(run.path / "confusion.png", scores, dataset.labels, title)
    draw_mistakes(run.path / "misclassified.png", scores, split, dataset.labels)
    model.save(run.path / MODEL)
    write_calibration(run.path, dataset, settings.seed)
    Places.now(dataset, before).write(run.path)
    checkpoint = Checkpoint(
        run.path,
        run.architecture,
        preprocessing,
        dataset.labels,
        now(),
        {
            "data": {
                "source": dataset.source,
                "sources": list(run.sources),
                "sha256": dataset.sha256,
                **dataset.details,
            },
            "settings": settings.to_json(),
            "epochs": len(state.history),
            "best_epoch": state.best_epoch,
            "seconds": round(sum(row["seconds"] for row in state.history), 1),
            "best_val_accuracy": state.history[state.best_epoch - 1]["val_accuracy"],
            judged: scores.to_json(dataset.labels),
            **compared,
            "parameters": model.count_params(),
            "versions": {
                "edgecnn": __version__,
                "tensorflow": tf.__version__,
                "keras": keras.__version__,
            },
        },
    )
    checkpoint.write()
    shutil.rmtree(run.path / STATE_FOLDER)
    shutil.rmtree(run.path / PICTURES_FOLDER, ignore_errors=True)
    return checkpoint
