"""Quantisation-aware training: the integers that will ship learn to answer as the float network.

The start is what export would write; each step computes in the integers of now, on the folded
graph that the writers use, and learns from the float network's answers. Pictures need no labels.
"""

import contextlib
import logging
import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecnn import __version__
from edgecnn.arguments import one_of
from edgecnn.bundle import file_sha256
from edgecnn.checkpoint import CALIBRATION, INTEGERS, MODEL, Checkpoint
from edgecnn.errors import DataError, require
from edgecnn.labels import LABELS, read_labels, write_labels
from edgecnn.preprocessing import Preprocessing
from edgecnn.shell import typed
from edgecnn.training.run import (
    PICTURES_FOLDER,
    RUN,
    STATE_FOLDER,
    Run,
    new_folder,
    now,
    refuse_if_used,
)
from edgecnn.training.settings import Settings
from edgecnn.training.state import Row, RunState

if TYPE_CHECKING:
    import keras

    from edgecnn.calibration.calibration_set import CalibrationSet
    from edgecnn.data import Dataset
    from edgecnn.export.network import Network
    from edgecnn.export.qat.network import Int8Network
    from edgecnn.export.request import Request
    from edgecnn.graph import Graph
    from edgecnn.head import Head, Kind
    from edgecnn.training.distillation import Answers
    from edgecnn.training.inputs import Inputs

log = logging.getLogger(__name__)

STEPS = 300
"""As many batches make the default number of epochs."""
DEFAULTS: dict[str, Any] = {
    "batch_size": 16,
    "learning_rate": 1e-2,
    "weight_decay": 0.0,
    "patience": 0,
}
"""Where they are not those of other training."""
SETTINGS = (
    *("epochs", "batch_size", "learning_rate", "warmup_epochs", "augment", "balance"),
    *("split", "split_seed", "skip_bad", "seed", "cache"),
)
"""Those that quantisation-aware training has a use for."""
START = "start.safetensors"
PHASE = "qat"


class State(RunState):
    """Judged by the information lost: of few pictures, agreement says too little."""

    def rank(self, row: Row) -> tuple[float, ...]:
        """Larger is better."""
        return (-row["val_loss"],)


def train_qat(
    model: "str | Path | keras.Model",
    data: str | Path | None = None,
    *,
    out: str | Path | None = None,
    labels: Sequence[str] | None = None,
    preprocessing: Preprocessing | str | None = None,
    input_shape: Sequence[int] | None = None,
    head: "Kind | None" = None,
    output: str | None = None,
    **settings: Any,
) -> Checkpoint:
    """Train the integers of a network, and write a checkpoint whose integers `export` writes.

    `model`, `labels`, `preprocessing`, `input_shape`, `head` and `output` are what
    `edgecnn.export` takes. `data` is a source as `edgecnn.data` describes, whose labels play no
    part, or a folder of pictures without any, a calibration set for one; None takes the pictures
    that a checkpoint has for calibration. `settings` are fields of `edgecnn.training.Settings`,
    of those in `SETTINGS`; without `epochs` some 300 steps are taken.

    The checkpoint's `model.keras` is the float network as it was. Raises what `train` and
    `export` raise.
    """
    for name in settings:
        one_of("setting of quantisation-aware training", name, SETTINGS)
    chosen = Settings(**(DEFAULTS | settings))
    _import()
    from edgecnn.export import network as networks

    network = networks.given(
        model, preprocessing=preprocessing, labels=labels, input_shape=input_shape, output=output
    )
    for note in network.notes:
        log.warning("%s", note)
    if data is None:
        if network.checkpoint is None:
            raise DataError("Say what to train on: --data DIR, pictures with or without labels.")
        data = network.checkpoint.calibration
    path = Path(out) if out is not None else new_folder(network.architecture)
    refuse_if_used(path)
    run = _begin(path, network, str(data), chosen, head, "epochs" in settings)
    return go_on(run)


def _begin(
    path: Path,
    network: "Network",
    source: str,
    settings: Settings,
    head: "Kind | None",
    epochs_given: bool,
) -> Run:
    """Write all that training starts from; the folder appears whole or not at all."""
    import keras

    from edgecnn.atomic import atomic_folder
    from edgecnn.export.qat import stored
    from edgecnn.export.recipe import Quantiser, Recipe
    from edgecnn.pictures import prepare
    from edgecnn.training import qat_pictures

    with atomic_folder(path, replaces=RUN) as folder:
        pictures = qat_pictures.write_pictures(folder, source, settings, network)
        dataset = qat_pictures.open_pictures(folder, source, settings)
        if not epochs_given:
            batches = max(1, len(dataset.train) // settings.batch_size)
            settings = replace(settings, epochs=math.ceil(STEPS / batches))
        request = _request(network, pictures, head)
        log.info("Quantising %s as export would.", network.architecture)
        quantiser = Quantiser(request.graph, prepare(pictures.pictures, network.preprocessing))
        start = quantiser.quantise(Recipe())
        model = network.model
        if len(model.outputs) > 1:
            model = keras.Model(model.inputs, model.outputs[network.output], name=model.name)
        model.save(folder / MODEL)
        (folder / STATE_FOLDER).mkdir()
        stored.write(folder / STATE_FOLDER / START, start, file_sha256(folder / MODEL))
        write_labels(folder / LABELS, request.labels)
        qat = {
            "of": network.weights.source,
            "head": head,
            "preprocessing": network.preprocessing.to_json(),
        }
        Run(folder, network.architecture, (source,), settings, dataset.sha256, qat).write()
    return Run.load(path)


def go_on(run: Run) -> Checkpoint:
    """Train from where a run stands to the end."""
    _import()
    import keras

    from edgecnn.calibration.calibration_set import CalibrationSet
    from edgecnn.export.folding import with_whole_zero_point
    from edgecnn.export.keras_file import read_model, weights_of
    from edgecnn.export.network import Network
    from edgecnn.export.qat import stored
    from edgecnn.export.qat.network import FloatNetwork, Int8Network
    from edgecnn.training import qat_pictures
    from edgecnn.training.distillation import distilling
    from edgecnn.training.inputs import open_inputs

    assert run.qat is not None
    model, settings = run.path / MODEL, run.settings
    network = Network(
        read_model(model),
        run.architecture,
        Preprocessing.from_json(run.qat["preprocessing"]),
        read_labels(run.path / LABELS),
        weights_of(model),
    )
    dataset = qat_pictures.open_pictures(run.path, run.source, settings)
    run.refuse_if_changed(dataset.sha256)
    request = _request(network, CalibrationSet.load(run.path / CALIBRATION), run.qat["head"])
    graph = with_whole_zero_point(request.graph)
    start = stored.read_file(run.path / STATE_FOLDER / START, graph, file_sha256(model))
    end, kind = _answers(graph, request.head)
    with contextlib.redirect_stdout(sys.stderr):
        keras.utils.set_random_seed(settings.seed)
        int8 = Int8Network(start, end)
        both = distilling(
            int8, FloatNetwork(graph, end), network.preprocessing.shape[1:], settings.augment
        )
        state = State.load(run.path / STATE_FOLDER)
        inputs = open_inputs(dataset, network.preprocessing, settings, run.path / PICTURES_FOLDER)
        log.info(
            "%s: %d pictures to train on, %d to choose the best epoch, %d epochs of %d steps.",
            *(run.architecture, len(dataset.train), len(dataset.val)),
            *(settings.epochs, inputs.steps),
        )
        before = _fit(run, both, inputs, kind, state)
    return _finish(run, request, int8, before, state, dataset)


def _fit(run: Run, both: Any, inputs: "Inputs", kind: "Answers", state: State) -> dict[str, float]:
    """Train; `both` then has the best epoch's weights. Returns how the start does on val."""
    from edgecnn.interrupt import Interrupt
    from edgecnn.training.distillation import agreement, divergence
    from edgecnn.training.epoch_end import epoch_end
    from edgecnn.training.optimisation import cosine_rate, make_optimizer

    settings, done = run.settings, len(state.history)
    rate = cosine_rate(settings.learning_rate, settings, settings.epochs, inputs.steps)
    optimizer = make_optimizer(settings, rate)
    both.compile(optimizer=optimizer, loss=divergence(kind), metrics=[agreement(kind)])
    # A run that resumes loads the optimizer's state, which has to exist by then.
    optimizer.build(both.trainable_variables)
    before: dict[str, float] = both.evaluate(inputs.val, return_dict=True, verbose=0)
    start = both.get_weights()
    if done:
        both.load_weights(state.weights_file(state.last))
    interrupt = Interrupt()
    try:
        with interrupt:
            both.fit(
                inputs.epochs(done),
                initial_epoch=done,
                epochs=settings.epochs,
                steps_per_epoch=inputs.steps,
                validation_data=inputs.val,
                callbacks=[epoch_end(state, PHASE, settings, run.path, interrupt, lambda: False)],
                shuffle=False,
                verbose=1 if sys.stdout.isatty() else 2,
            )
    except KeyboardInterrupt:
        log.warning(
            "Stopped after epoch %d. Go on with: %s",
            len(state.history),
            typed("edgecnn", "train", "--resume", "--out", run.path),
        )
        raise
    best = state.history[state.best_epoch - 1]
    if best["val_loss"] < before["loss"]:
        both.load_weights(state.weights_file(state.best))
    else:
        log.warning(
            "Training gained nothing on the pictures kept apart: the integers are those that "
            "export makes itself. Train with more pictures, or a lower --learning-rate."
        )
        both.set_weights(start)
    return before


def _finish(
    run: Run,
    request: "Request",
    int8: "Int8Network",
    before: dict[str, float],
    state: State,
    dataset: "Dataset",
) -> Checkpoint:
    """Everything that is written after the last epoch; `checkpoint.json` last."""
    import keras
    import tensorflow as tf

    from edgecnn.export.qat import stored

    assert run.qat is not None
    best = state.history[state.best_epoch - 1]
    gained = best["val_loss"] < before["loss"]
    stored.write(run.path / INTEGERS, int8.quantised(), file_sha256(run.path / MODEL))
    checkpoint = Checkpoint(
        run.path,
        run.architecture,
        request.network.preprocessing,
        request.labels,
        now(),
        {
            "qat": {
                "of": run.qat["of"],
                "sha256": file_sha256(run.path / INTEGERS),
                "pictures": len(dataset.train),
                "judged_on": len(dataset.val),
                "kl_before": before["loss"],
                "kl": best["val_loss"] if gained else before["loss"],
                "agreement_before": before["accuracy"],
                "agreement": best["val_accuracy"] if gained else before["accuracy"],
            },
            "data": {"source": run.source, "sha256": run.dataset_sha256, **dataset.details},
            "settings": run.settings.to_json(),
            "epochs": len(state.history),
            "best_epoch": state.best_epoch if gained else 0,
            "seconds": round(sum(row["seconds"] for row in state.history), 1),
            "parameters": request.network.model.count_params(),
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


def _request(network: "Network", pictures: "CalibrationSet", head: "Kind | None") -> "Request":
    from edgecnn.export.progress import ExportProgress
    from edgecnn.export.request import Options, Request

    class Notes(ExportProgress):
        def note(self, message: str) -> None:
            log.warning("%s", message)

    options = Options.of(
        *("int8", "auto", 8),
        symmetric=False,
        max_drop=None,
        explain_layers=False,
        verdict=False,
        features=False,
    )
    return Request.of(network, pictures, options, head, Notes())


def _answers(graph: "Graph", head: "Head") -> "tuple[str, Answers]":
    """The tensor to learn by, logits where there are any, and what its values are."""
    from edgecnn.export.heads import tail

    names, logits = tail(graph)
    if logits is not None:
        for op in (graph[name] for name in names):
            if op.op == "softmax":
                return logits, "logits of one"
            if op.attributes.get("kind") == "sigmoid":
                return logits, "logits of several"
    return graph.output, "one" if head.kind == "softmax" else "several"


def _import() -> None:
    from edgecnn.quiet import import_keras

    import_keras()
    what = "Quantisation-aware training"
    require("tensorflow", what=what, package="TensorFlow", extra="export")
    require("onnxruntime", what=what, package="ONNX Runtime", extra="export")
