"""From a network to a bundle: lower, fold, calibrate, quantise, write, audit, verify."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecnn.analysis import analyze_graph
from edgecnn.arguments import one_of
from edgecnn.bundle import FORMATS, LABELS, MANIFEST, Bundle, atomic_folder
from edgecnn.calibration.calibration_set import CalibrationSet
from edgecnn.errors import DataError, ExportError
from edgecnn.export import network as networks
from edgecnn.export.accuracy import Accuracy, Probabilities, Truths
from edgecnn.export.calibration_choice import calibration_set
from edgecnn.export.earlier import find, fingerprint, missing
from edgecnn.export.explain import PLOT, draw, explain
from edgecnn.export.folding import fold
from edgecnn.export.heads import with_head
from edgecnn.export.job import Clock, Job, check, quantise_and_write
from edgecnn.export.manifest import describe
from edgecnn.export.methods import Method
from edgecnn.export.network import Network
from edgecnn.export.order import Order, Precision, Settings, WeightBits, checked
from edgecnn.export.progress import Progress
from edgecnn.export.recipe import Kitchen
from edgecnn.export.verify import (
    check_artifacts,
    check_half,
    check_lowering,
    check_preprocessing,
    open_artifact,
    reference,
)
from edgecnn.export.worth import worth
from edgecnn.golden import COUNT, Golden
from edgecnn.head import KINDS, Kind
from edgecnn.labels import write_labels
from edgecnn.pictures import prepare, truths
from edgecnn.preprocessing import Preprocessing
from edgecnn.targets.board.target import detect

if TYPE_CHECKING:
    import keras

DOUBTFUL = 0.9
FEW = 8
"""Pictures that show whether a network's answers are probabilities."""


def export(
    model: "str | Path | keras.Model | Network",
    formats: str | Sequence[str] = FORMATS,
    precision: Precision = "int8",
    calibration: Path | str | CalibrationSet | None = None,
    out: Path | str | None = None,
    *,
    weights: str = "auto",
    method: Method = "mse",
    weight_bits: WeightBits = 8,
    symmetric: bool = False,
    max_drop: float | None = None,
    explain_layers: bool = False,
    verdict: bool = False,
    preprocessing: Preprocessing | str | None = None,
    labels: Sequence[str] | None = None,
    input_shape: Sequence[int] | None = None,
    head: Kind | None = None,
    output: str | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """Write a bundle and return it.

    `model` is an architecture's name, a checkpoint's path, a `.keras` or `.h5` file, or a Keras
    model. For the last two: `labels`, one for each output in their order; `preprocessing`, a
    `Preprocessing` or a name (`-1..1`, `0..1`, `raw`, `imagenet`, `caffe`), not needed where the
    network scales raw pixels itself; `input_shape` (height, width[, channels]) where it takes any;
    `head` (`softmax`, `sigmoid`, `binary`) says what plain numbers at its end are, and what is
    added to make probabilities of them; `output` names one of several. `calibration` is a folder of
    pictures; None takes the checkpoint's own, else a default set that represents nobody's camera.
    `out` defaults to `exports/<architecture>-<precision>`. The folder appears whole or not at
    all. Where it already holds an export of the very same, only formats that it lacks are made.

    `method` chooses the ranges of int8 (see `edgecnn.export.clipping`); `weight_bits=7` suits x86
    boards without VNNI, where ONNX Runtime and OpenVINO add two 8-bit products in 16 bits;
    `symmetric`, with `formats=["onnx"]`, suits NVIDIA TensorRT, whose int8 has zero points of 0.

    With `max_drop`, raises `CheckFailed` and writes nothing if an artifact loses more top-1 than
    that, in percentage points, on the held-out pictures; where they have no labels, every
    picture on which it disagrees with the float network counts as lost. With `explain_layers`
    the bundle also says how far each layer of each int8 artifact is from float; with `verdict`,
    what each costs on this machine beside a float one (see `edgecnn.export.worth`).
    """
    progress = progress or Progress()
    formats = checked(formats)
    if symmetric and (formats != ("onnx",) or precision != "int8"):
        raise ExportError(
            "Symmetric activations are for int8 in NVIDIA TensorRT, which reads ONNX; anything "
            "else would only lose by them: --int8 --format onnx."
        )
    settings = Settings.of(
        precision,
        method,
        weight_bits,
        symmetric=symmetric,
        max_drop=max_drop,
        explain_layers=explain_layers,
        verdict=verdict,
    )
    if head is not None:
        one_of("head", head, KINDS)
    clock = Clock(progress)
    with clock.step("load the network"):
        network = _network(model, weights, preprocessing, labels, input_shape, output)
    for note in network.notes:
        progress.note(note)
    if precision == "int8" and weight_bits == 8 and detect().sums_overflow:
        progress.note(
            "This processor has no int8 units (VNNI): sums of 8-bit products overflow in ONNX "
            "Runtime and OpenVINO here. --weight-bits 7 prevents it."
        )
    pictures = calibration_set(calibration, network, progress)
    if symmetric:
        progress.note(
            "For NVIDIA TensorRT: verified with ONNX Runtime on the CPU, which computes much of it "
            "in float and gains nothing from it."
        )
    kind = f"{precision}-symmetric" if symmetric else precision
    out = Path(out) if out else Path("exports") / f"{network.architecture}-{kind}"
    with clock.step("lower and fold"):
        order = _order(network, pictures, settings, head, progress)
        mark = fingerprint(order)
    kept = find(out, mark)
    if kept is not None:
        progress.note(f"{out} already holds this very export, in {', '.join(kept.artifacts)}.")
        if not missing(formats, kept):
            return kept
        formats = checked([*formats, *kept.artifacts])
    with atomic_folder(out) as folder:
        manifest = _fill(folder, out, order, formats, clock, kept) | {"fingerprint": mark}
        _write_manifest(folder, manifest)
        if verdict and precision == "int8":
            manifest["worth"] = _worth(folder, order, formats, clock)
            manifest["seconds"] |= clock.seconds
            _write_manifest(folder, manifest)
    return Bundle.load(out)


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    try:
        text = json.dumps(manifest, indent=1, allow_nan=False)
    except ValueError:
        raise ExportError(
            "A figure of this export is no finite number, so that nothing it says could be trusted:"
            " no bundle written."
        ) from None
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _worth(folder: Path, order: Order, formats: Sequence[str], clock: Clock) -> dict[str, Any]:
    real = replace(
        order,
        pictures=replace(order.pictures, held_out=order.pictures.held_out[:COUNT]),
        settings=replace(order.settings, precision="fp32", max_drop=None),
    )
    with tempfile.TemporaryDirectory() as beside, clock.step("int8 against float"):
        float32 = Path(beside)
        _write_manifest(float32, _fill(float32, float32, real, formats, Clock(Progress()), None))
        found = worth(
            folder, float32, lambda name: clock.progress.step(f"int8 and float in {name}")
        )
    return found.to_json()


def _network(
    model: "str | Path | keras.Model | Network",
    weights: str,
    preprocessing: Preprocessing | str | None,
    labels: Sequence[str] | None,
    input_shape: Sequence[int] | None,
    output: str | None,
) -> Network:
    if isinstance(model, Network):
        return model
    options: dict[str, Any] = {"input_shape": input_shape, "output": output}
    if isinstance(model, str | Path):
        return networks.find(model, weights, preprocessing=preprocessing, labels=labels, **options)
    return networks.of_model(model, preprocessing, labels, **options)


def _order(
    network: Network,
    pictures: CalibrationSet,
    settings: Settings,
    head: Kind | None,
    progress: Progress,
) -> Order:
    """Decide what the network's outputs mean, and fold it."""
    trained, meaning, note = with_head(network.graph, head)
    if note is not None:
        # What its layers do not show, its answers may: an average of two networks, say.
        few = prepare(pictures.held_out[:FEW], network.preprocessing)
        trained, meaning, note = with_head(network.graph, head, network.answers(few))
    if note is not None:
        progress.note(note)
    labels = network.labels_for(trained[trained.output].elements, meaning.kind == "binary")
    added = None
    if network.graph.output != trained.output and trained[trained.output].op != "reshape":
        last = trained[trained.output]
        added = "softmax" if last.op == "softmax" else "sigmoid"
    graph = fold(trained, network.preprocessing)
    return Order(network, pictures, settings, trained, graph, labels, meaning, added)


def _fill(
    folder: Path,
    out: Path,
    order: Order,
    formats: Sequence[str],
    clock: Clock,
    kept: Bundle | None,
) -> dict[str, Any]:
    """Write everything but the manifest into a folder; returns the manifest."""
    network, graph, pictures = order.network, order.graph, order.pictures
    with clock.step("ask Keras"):
        held_out = prepare(pictures.held_out, network.preprocessing)
        expected = reference(network, held_out, order.added)
        check_lowering(graph, expected, held_out)
    classes = _truths(order, clock.progress)
    if classes is not None:
        _check_preprocessing(order, expected, classes)
    write_labels(folder / LABELS, order.labels)
    job = Job(folder, order, formats, clock, held_out, expected, classes, kept)
    job.keep()
    if order.settings.precision == "int8":
        images = prepare(pictures.pictures, network.preprocessing)
        kitchen = Kitchen(
            graph, images, clock.progress.advance, representative=pictures.representative
        )
        quantisation = quantise_and_write(job, kitchen)
    else:
        quantisation = {"precision": order.settings.precision}
        if order.settings.precision == "fp16":
            check_half(graph)
        job.write_and_verify(None)
        check_artifacts(job.found, order.settings.precision)
    check(job.found, order.settings.max_drop)
    _doubt(job, clock.progress)
    with clock.step("golden vectors"):
        sessions = {name: open_artifact(name, folder) for name in formats}
        Golden.make(
            [picture.read() for picture in pictures.held_out[:COUNT]],
            network.preprocessing,
            lambda name, image: sessions[name].infer(image),
            formats,
        ).write(folder)
    layers = {}
    if order.settings.explain_layers and job.quantised is not None:
        with clock.step("explain"):
            layers = explain(job.quantised, formats, folder, held_out)
            draw(layers, folder / PLOT, f"{network.architecture} int8 against float32")
    return describe(
        folder=folder,
        out=out,
        order=order,
        quantisation=quantisation,
        found=job.found,
        kept=job.kept,
        layers=layers,
        ram_analysis=analyze_graph(
            graph,
            order.trained,
            architecture=network.architecture,
            parameters=network.model.count_params(),
            trainable_parameters=sum(
                int(np.prod(w.shape)) for w in network.model.trainable_weights
            ),
            dtype=order.settings.precision,
        ),
        seconds=clock.seconds,
    )


def _doubt(job: Job, progress: Progress) -> None:
    """Say it where an artifact often answers otherwise than the float network."""
    agreements = {name: found.comparison.agreement_top1 for name, found in job.found.items()}
    worst = min(agreements, key=agreements.__getitem__)
    if agreements[worst] < DOUBTFUL and job.order.network.weights.meaningful:
        progress.note(
            f"{worst} gives the float network's answer for only {agreements[worst]:.0%} of "
            f"{len(job.held_out)} held-out pictures: calibrate with more pictures of what the "
            "camera sees, repair it with --max-drop, or take --fp16."
        )


def _truths(order: Order, progress: Progress) -> Truths | None:
    """What the held-out pictures show, where their labels say it in the network's words."""
    held_out = order.pictures.held_out
    if any(picture.label is None for picture in held_out):
        return None
    try:
        return truths(held_out, order.labels, order.head)
    except DataError as error:
        progress.note(f"Verified by agreement alone: {error}")
        return None


def _check_preprocessing(order: Order, expected: Probabilities, classes: Truths) -> None:
    network = order.network
    if network.checkpoint is None or "test" not in network.checkpoint.details:
        return
    trained = float(network.checkpoint.details["test"]["top1"])
    top1 = Accuracy.of(expected, classes, head=order.head).top1
    check_preprocessing(top1, len(classes), trained)
