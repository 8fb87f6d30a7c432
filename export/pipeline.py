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
from edgecnn.atomic import atomic_folder, clear_up
from edgecnn.bundle import (
    FORMATS,
    MANIFEST,
    MODEL_FILES,
    Artifact,
    Bundle,
    describe_file,
)
from edgecnn.calibration.calibration_set import CalibrationSet
from edgecnn.errors import ExportError
from edgecnn.export import network as networks
from edgecnn.export import sbom
from edgecnn.export.album import album
from edgecnn.export.calibration_choice import calibration_set
from edgecnn.export.explain import PLOT, draw, explain
from edgecnn.export.golden_choice import choose
from edgecnn.export.held_out import HeldOut
from edgecnn.export.job import Clock, Job, hold_to_bound, write_float, write_int8
from edgecnn.export.manifest import describe
from edgecnn.export.methods import Method
from edgecnn.export.network import Network
from edgecnn.export.progress import ExportProgress
from edgecnn.export.reliability import Fitted, keep
from edgecnn.export.request import Options, Precision, Request, WeightBits, checked
from edgecnn.export.reuse import find, fingerprint, missing
from edgecnn.export.verdict import judge
from edgecnn.golden import ANSWER_TOLERANCE, Golden, Origin
from edgecnn.head import KINDS, Kind
from edgecnn.labels import LABELS, write_labels
from edgecnn.preprocessing import Preprocessing
from edgecnn.signature import check_key
from edgecnn.signing import sign
from edgecnn.targets.board.target import detect

if TYPE_CHECKING:
    import keras

DOUBTFUL = 0.9


def export(
    model: "str | Path | keras.Model | Network",
    formats: str | Sequence[str] = FORMATS,
    precision: Precision = "int8",
    calibration: Path | str | CalibrationSet | None = None,
    out: Path | str | None = None,
    *,
    held_out: Path | str | None = None,
    weights: str = "auto",
    method: Method = "auto",
    weight_bits: WeightBits = 8,
    symmetric: bool = False,
    max_drop: float | None = None,
    explain_layers: bool = False,
    verdict: bool = False,
    features: bool = False,
    preprocessing: Preprocessing | str | None = None,
    labels: Sequence[str] | None = None,
    input_shape: Sequence[int] | None = None,
    head: Kind | None = None,
    output: str | None = None,
    sign_with: Path | str | None = None,
    progress: ExportProgress | None = None,
) -> Bundle:
    """Write a bundle and return it.

    `model` is an architecture's name, a checkpoint's path, a `.keras` or `.h5` file, or a Keras
    model. For the last two: `labels`, one for each output in their order; `preprocessing`, a
    `Preprocessing` or a name (`-1..1`, `0..1`, `raw`, `imagenet`, `caffe`), not needed where the
    network scales raw pixels itself; `input_shape` (height, width[, channels]) where it takes any;
    `head` (`softmax`, `sigmoid`, `binary`) says what plain numbers at its end are, and what is
    added to make probabilities of them; `output` names one of several. `calibration` is a folder of
    pictures; None takes the checkpoint's own, else a default set that represents nobody's camera.
    `held_out` is a folder with a subfolder for each class, or a CSV file: labelled pictures that
    neither training nor calibration saw; they verify the artifacts, and say what probabilities
    mean (see `edgecnn.reliability`). None takes the checkpoint's own, else some of `calibration`.
    `out` defaults to `exports/<architecture>-<precision>`. The folder appears whole or not at
    all. Where it already holds an export of the very same, only formats that it lacks are made.

    `method` chooses the ranges of int8 (see `edgecnn.export.clipping`); `weight_bits=7` suits x86
    boards without VNNI, where ONNX Runtime and OpenVINO add two 8-bit products in 16 bits;
    `symmetric`, with `formats=["onnx"]`, suits NVIDIA TensorRT, whose int8 has zero points of 0.

    With `max_drop`, raises `CheckFailed` and writes nothing if an artifact loses more top-1 than
    that, in percentage points, on the held-out pictures; where they have no labels, every
    picture on which it disagrees with the float network counts as lost. With `explain_layers`
    the bundle also says how far each layer of each int8 artifact is from float; with `verdict`,
    what each costs on this machine beside a float one (see `edgecnn.export.verdict`). With
    `features` the artifacts also give what the network's last layer reads (see
    `edgecnn.export.features`), by which pictures of other things are told apart better.

    `sign_with` is the key to sign the finished bundle with, as in `edgecnn.sign`.
    """
    progress = progress or ExportProgress()
    formats = checked(formats)
    if symmetric and (formats != ("onnx",) or precision != "int8"):
        raise ExportError(
            "Symmetric activations are for int8 in NVIDIA TensorRT, which reads ONNX; anything "
            "else would only lose by them: --int8 --format onnx."
        )
    options = Options.of(
        precision,
        method,
        weight_bits,
        symmetric=symmetric,
        max_drop=max_drop,
        explain_layers=explain_layers,
        verdict=verdict,
        features=features,
    )
    if head is not None:
        one_of("head", head, KINDS)
    if sign_with is not None:
        check_key(Path(sign_with))
    clock = Clock(progress)
    with clock.step("load the network"):
        network = networks.given(
            model,
            weights,
            preprocessing=preprocessing,
            labels=labels,
            input_shape=input_shape,
            output=output,
        )
    for note in network.notes:
        progress.note(note)
    if precision == "int8" and weight_bits == 8 and detect().sums_overflow:
        progress.note(
            "This processor has no int8 units (VNNI): sums of 8-bit products overflow in ONNX "
            "Runtime and OpenVINO here. --weight-bits 7 prevents it."
        )
    pictures = calibration_set(calibration, network, progress, held_out)
    if symmetric:
        progress.note(
            "For NVIDIA TensorRT: verified with ONNX Runtime on the CPU, which computes much of it "
            "in float and gains nothing from it."
        )
    kind = f"{precision}-symmetric" if symmetric else precision
    out = Path(out) if out else Path("exports") / f"{network.architecture}-{kind}"
    with clock.step("lower and fold"):
        request = Request.of(network, pictures, options, head, progress)
        mark = fingerprint(request)
    clear_up(out)  # also where nothing is to be done
    kept = find(out, mark)
    if kept is not None:
        progress.note(f"{out} already holds this very export, in {', '.join(kept.artifacts)}.")
        if not missing(formats, kept):
            return _signed(kept, sign_with)
        formats = checked([*formats, *kept.artifacts])
    with atomic_folder(out, replaces=MANIFEST) as folder:
        with clock.step("ask Keras"):
            judged = HeldOut.of(request, progress)
        manifest = _write_bundle(folder, out, request, judged, formats, clock, kept)
        manifest["fingerprint"] = mark
        manifest["sbom"] = sbom.write(folder, manifest)
        _write_manifest(folder, manifest)
        if verdict and precision == "int8":
            with tempfile.TemporaryDirectory() as beside, clock.step("int8 against float"):
                manifest["worth"] = _verdict(folder, Path(beside), request, judged, formats, clock)
            manifest["seconds"] |= clock.seconds
            _write_manifest(folder, manifest)
    return _signed(Bundle.load(out), sign_with)


def _signed(bundle: Bundle, key: Path | str | None) -> Bundle:
    if key is not None:
        sign(bundle.path, key)
    return bundle


def _write_bundle(
    folder: Path,
    out: Path,
    request: Request,
    held_out: HeldOut,
    formats: Sequence[str],
    clock: Clock,
    kept: Bundle | None,
) -> dict[str, Any]:
    """Write everything but the manifest into a folder; returns the manifest."""
    network, options = request.network, request.options
    write_labels(folder / LABELS, request.labels)
    job = Job(folder, request, held_out, formats, clock, kept)
    job.take_over()
    quantisation = write_int8(job) if options.precision == "int8" else write_float(job)
    hold_to_bound(job.found, options.max_drop)
    _doubt(job)
    with clock.step("golden vectors"):
        _golden(job).write(folder)
    fitted = {
        name: Fitted.of(held_out, found.answers, request.head, found.features, job.neighbours(name))
        for name, found in job.found.items()
        if found.answers is not None
    }
    keep(folder, fitted, job.kept)
    with clock.step("album"):
        pictures = album(job)
        shown = pictures.write(folder) if pictures is not None else None
    layers = {}
    if options.explain_layers and job.quantised is not None:
        with clock.step("explain"):
            layers = explain(job.quantised, formats, folder, held_out.images)
            draw(layers, folder / PLOT, f"{network.architecture} int8 against float32")
    return _described(job, out, quantisation, fitted, layers, shown)


def _described(
    job: Job,
    out: Path,
    quantisation: dict[str, Any],
    fitted: dict[str, Fitted] | None = None,
    layers: dict[str, dict[str, float]] | None = None,
    shown: dict[str, Any] | None = None,
) -> dict[str, Any]:
    model, graph = job.request.network.model, job.request.graph
    return describe(
        folder=job.folder,
        out=out,
        request=job.request,
        quantisation=quantisation,
        found=job.found,
        fitted=fitted or {},
        kept=job.kept,
        layers=layers or {},
        features=job.sessions[job.formats[0]].features,
        shown=shown,
        ram_analysis=analyze_graph(
            graph,
            job.request.trained,
            architecture=job.request.network.architecture,
            parameters=model.count_params(),
            trainable_parameters=sum(int(np.prod(w.shape)) for w in model.trainable_weights),
            dtype=job.request.options.precision,
        ),
        seconds=job.clock.seconds,
    )


def _golden(job: Job) -> Golden:
    """Pictures on which mistakes show, with every artifact's answers."""
    network, sessions, progress = job.request.network, job.sessions, job.clock.progress
    chosen = choose(
        job.request.pictures.held_out, network.preprocessing, sessions[job.formats[0]].infer
    )
    meaningful = network.weights.meaningful
    if chosen.untold and meaningful:
        progress.note(
            "No golden picture tells these from right, since the network's answers hardly depend "
            f"on them: {', '.join(chosen.untold)}. Held-out pictures of more kinds may."
        )
    models = {
        name: Artifact(name, tuple(describe_file(job.folder, file) for file in files), {}).sha256
        for name, files in MODEL_FILES.items()
        if name in job.formats
    }
    engines = {name: sessions[name].engine for name in job.formats}
    return Golden.make(
        chosen.frames,
        network.preprocessing,
        lambda name, image: sessions[name].infer(image),
        job.formats,
        # Where answers mean nothing, those that are a little off do no harm.
        tolerance=chosen.tolerance if meaningful else ANSWER_TOLERANCE,
        origin=Origin(job.request.labels, job.request.head.kind, models, engines),
    )


def _doubt(job: Job) -> None:
    """Say it where an artifact often answers otherwise than the float network."""
    agreements = {name: found.comparison.agreement_top1 for name, found in job.found.items()}
    worst = min(agreements, key=agreements.__getitem__)
    if agreements[worst] < DOUBTFUL and job.request.network.weights.meaningful:
        job.clock.progress.note(
            f"{worst} gives the float network's answer for only {agreements[worst]:.0%} of "
            f"{len(job.held_out.images)} held-out pictures: calibrate with more pictures of what "
            "the camera sees, repair it with --max-drop, or take --fp16."
        )


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    try:
        text = json.dumps(manifest, indent=1, allow_nan=False)
    except ValueError:
        raise ExportError(
            "A figure of this export is no finite number, so that nothing it says could be trusted:"
            " no bundle written."
        ) from None
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _verdict(
    folder: Path,
    beside: Path,
    request: Request,
    held_out: HeldOut,
    formats: Sequence[str],
    clock: Clock,
) -> dict[str, Any]:
    """Export the same in float32 and fp16 `beside`, and measure all three."""
    bundles, shown = {"int8": folder}, clock.progress
    wider: dict[str, Precision] = {"float32": "fp32", "fp16": "fp16"}
    for name, precision in wider.items():
        options = replace(request.options, precision=precision, max_drop=None)
        path = beside / name
        path.mkdir()
        try:
            _write_rival(path, replace(request, options=options), held_out, formats)
        except ExportError as error:
            if name == "float32":
                raise
            shown.note(f"No fp16 to compare int8 with: {error}")
            continue
        bundles[name] = path
    found = judge(bundles, lambda name: shown.step(f"int8, fp16 and float32 in {name}"))
    return found.to_json()


def _write_rival(folder: Path, request: Request, held_out: HeldOut, formats: Sequence[str]) -> None:
    """A float bundle to be measured and thrown away: nothing in it is for later."""
    write_labels(folder / LABELS, request.labels)
    job = Job(folder, request, held_out, formats, Clock(ExportProgress()))
    quantisation = write_float(job)
    _write_manifest(folder, _described(job, folder, quantisation))
