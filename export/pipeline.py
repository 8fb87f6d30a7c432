"""From a network to a bundle: lower, fold, calibrate, quantise, write, audit, verify."""

import json
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

import edgecnn
from edgecnn.analysis import analyze_graph
from edgecnn.bundle import (
    FORMATS,
    LABELS,
    MANIFEST,
    MODEL_FILES,
    SCHEMA,
    Bundle,
    atomic_folder,
    describe_file,
)
from edgecnn.calibration.calibration_set import CalibrationSet
from edgecnn.errors import CheckFailed, DataError, UnknownName
from edgecnn.export import network as networks
from edgecnn.export.accuracy import Accuracy, Probabilities
from edgecnn.export.audit import audit
from edgecnn.export.explain import PLOT, draw, explain
from edgecnn.export.folding import fold
from edgecnn.export.ladder import Rung, best, climb
from edgecnn.export.lowering import lower, with_probabilities
from edgecnn.export.network import Network
from edgecnn.export.progress import Progress
from edgecnn.export.quantised import Quantised
from edgecnn.export.recipe import Kitchen, Recipe
from edgecnn.export.verify import (
    Verification,
    check_lowering,
    check_preprocessing,
    open_artifact,
    reference,
    verify,
)
from edgecnn.golden import COUNT, FILE, Golden
from edgecnn.graph import Graph
from edgecnn.pictures import class_indices, prepare
from edgecnn.preprocessing import Preprocessing

if TYPE_CHECKING:
    import keras

Precision = Literal["int8", "fp16", "fp32"]
MINIMUM_PICTURES = 2
FEW_PICTURES = 20


def export(
    model: "str | Path | keras.Model | Network",
    formats: Sequence[str] = FORMATS,
    precision: Precision = "int8",
    calibration: Path | str | CalibrationSet | None = None,
    out: Path | str | None = None,
    *,
    weights: str = "auto",
    max_drop: float | None = None,
    explain_layers: bool = False,
    preprocessing: Preprocessing | None = None,
    labels: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """Write a bundle and return it.

    `model` is an architecture's name, a checkpoint's path, or a Keras model; the last needs
    `preprocessing`, and `labels` unless its classes are ImageNet's. `calibration` is a folder of
    pictures; None takes the checkpoint's own, else a default set that represents nobody's camera.
    `out` defaults to `exports/<architecture>-<precision>`. The folder appears whole or not at
    all.

    With `max_drop`, raises `CheckFailed` and writes nothing if an artifact loses more top-1 than
    that, in percentage points, on the held-out pictures; where they have no labels, every
    picture on which it disagrees with the float network counts as lost. With `explain_layers`
    the bundle also says how far each layer of each int8 artifact is from float.
    """
    progress = progress or Progress()
    formats = _checked(formats)
    clock = _Clock(progress)
    with clock.step("load the network"):
        network = _network(model, weights, preprocessing, labels)
    for note in network.notes:
        progress.note(note)
    pictures = _calibration_set(calibration, network, progress)
    out = Path(out) if out else Path("exports") / f"{network.architecture}-{precision}"
    with atomic_folder(out) as folder:
        manifest = _fill(
            folder, network, formats, precision, pictures, max_drop, explain_layers, clock
        )
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return Bundle.load(out)


def _checked(formats: Sequence[str]) -> tuple[str, ...]:
    for name in formats:
        if name not in FORMATS:
            raise UnknownName("format", name, FORMATS)
    return tuple(name for name in FORMATS if name in formats)


def _network(
    model: "str | Path | keras.Model | Network",
    weights: str,
    preprocessing: Preprocessing | None,
    labels: Sequence[str] | None,
) -> Network:
    if isinstance(model, Network):
        return model
    if isinstance(model, str | Path):
        return networks.find(model, weights)
    return networks.of_model(model, preprocessing, labels)


def _calibration_set(
    calibration: Path | str | CalibrationSet | None, network: Network, progress: Progress
) -> CalibrationSet:
    if isinstance(calibration, CalibrationSet):
        found = calibration
    elif calibration is not None:
        found = CalibrationSet.load(Path(calibration))
        if network.checkpoint is not None:
            found = _verified_with(CalibrationSet.load(network.checkpoint.calibration), found)
    elif network.checkpoint is not None:
        found = CalibrationSet.load(network.checkpoint.calibration)
    else:
        from edgecnn.calibration.default import default_calibration

        found = default_calibration()
        progress.note(
            f"No --calibration: using {len(found.pictures)} crops of {found.origin}. They do not "
            "represent your camera: give pictures it took with --calibration DIR."
        )
    count = len(found.pictures) + len(found.held_out)
    if count < MINIMUM_PICTURES or not found.held_out:
        raise DataError(
            f"The calibration set {found.name} holds {count} picture(s): one must be held out to "
            "verify with, so give at least two, better a hundred."
        )
    if len(found.pictures) < FEW_PICTURES and found.representative:
        progress.note(
            f"Only {len(found.pictures)} calibration pictures: a hundred that cover what the "
            "camera will see give safer ranges."
        )
    return found


@dataclass
class _Job:
    """An export under way: everything that writing and judging an artifact needs."""

    folder: Path
    network: Network
    formats: Sequence[str]
    precision: Precision
    clock: "_Clock"
    trained: Graph
    graph: Graph
    held_out: NDArray[np.uint8]
    expected: Probabilities
    classes: NDArray[np.int64] | None
    found: dict[str, Verification] = field(default_factory=dict)
    """What the artifacts now in the folder did."""
    quantised: Quantised | None = None
    """What they were written from."""

    def write_and_verify(self, quantised: Quantised | None) -> None:
        """Write every format into the folder and run it on the held-out pictures."""
        self.quantised = quantised
        graph = quantised.graph if quantised else self.graph
        described = _metadata(self.network, self.precision)
        for name in self.formats:
            with self.clock.step(f"write {name}"):
                half = self.precision == "fp16"
                _writer(name)(graph, quantised, self.folder, half=half, metadata=described)
            with self.clock.step(f"verify {name}", len(self.held_out)):
                self.found[name] = verify(
                    name,
                    self.folder,
                    self.held_out,
                    self.expected,
                    self.classes,
                    self.clock.progress.advance,
                )

    def attempt(self, kitchen: Kitchen, name: str, recipe: Recipe) -> Rung:
        """Quantise by a recipe, and say what it lost."""
        with self.clock.step(name):
            quantised = kitchen.cook(recipe)
        self.write_and_verify(quantised)
        lost = {format: verification.points_lost for format, verification in self.found.items()}
        error = float(np.mean([v.comparison.mean_abs_error for v in self.found.values()]))
        return Rung(name, recipe, lost, error)


def _verified_with(own: CalibrationSet, given: CalibrationSet) -> CalibrationSet:
    """The calibration set given, verified with what the training run held out: it has labels.

    Raises `DataError` where a picture would judge the network that it calibrates.
    """
    kept_apart = {picture.sha256 for picture in own.held_out}
    used = (*given.pictures, *given.held_out) if own.held_out else given.pictures
    leaked = [picture.name for picture in used if picture.sha256 in kept_apart]
    if leaked:
        raise DataError(
            f"{len(leaked)} pictures of {given.name} are evaluation pictures of the training run, "
            f"{leaked[0]} for one: leave them out."
        )
    return replace(given, pictures=used, held_out=own.held_out or given.held_out)


def _fill(
    folder: Path,
    network: Network,
    formats: Sequence[str],
    precision: Precision,
    pictures: CalibrationSet,
    max_drop: float | None,
    explain_layers: bool,
    clock: "_Clock",
) -> dict[str, Any]:
    """Write everything but the manifest into a folder; returns the manifest."""
    with clock.step("lower and fold"):
        trained = with_probabilities(lower(network.model))
        graph = fold(trained, network.preprocessing)
        held_out = prepare(pictures.held_out, network.preprocessing)
    with clock.step("ask Keras"):
        expected = reference(network.model, network.preprocessing, held_out)
        check_lowering(graph, expected[:2], held_out[:2])
    classes = None
    if all(picture.label is not None for picture in pictures.held_out):
        classes = np.array(class_indices(pictures.held_out, network.labels), np.int64)
        _check_preprocessing(network, expected, classes)
    (folder / LABELS).write_text("\n".join(network.labels) + "\n", encoding="utf-8")
    job = _Job(
        folder, network, formats, precision, clock, trained, graph, held_out, expected, classes
    )
    if precision == "int8":
        images = prepare(pictures.pictures, network.preprocessing)
        kitchen = Kitchen(
            graph, images, clock.progress.advance, representative=pictures.representative
        )
        quantisation = _quantise(job, kitchen, max_drop)
    else:
        quantisation = {"precision": precision}
        job.write_and_verify(None)
    _check(job.found, max_drop)
    with clock.step("golden vectors"):
        sessions = {name: open_artifact(name, folder) for name in formats}
        Golden.make(
            [picture.read() for picture in pictures.held_out[:COUNT]],
            network.preprocessing,
            lambda name, image: sessions[name].infer(image),
            formats,
        ).write(folder)
    layers = {}
    if explain_layers and job.quantised is not None:
        with clock.step("explain"):
            layers = explain(job.quantised, formats, folder, held_out)
            draw(layers, folder / PLOT, f"{network.architecture} int8 against float32")
    return {
        "schema": SCHEMA,
        "architecture": network.architecture,
        "weights": asdict(network.weights),
        "precision": precision,
        "input": {
            "height": network.preprocessing.height,
            "width": network.preprocessing.width,
            "channels": network.preprocessing.channels,
            "dtype": "uint8",
            "layout": "NHWC",
            "color": network.preprocessing.color,
        },
        "preprocessing": network.preprocessing.to_json(),
        "labels": asdict(describe_file(folder, LABELS)),
        "golden": asdict(describe_file(folder, FILE)),
        "calibration": _described(pictures, precision),
        "quantisation": quantisation,
        "artifacts": {name: _artifact(name, folder, v) for name, v in job.found.items()},
        **({"layers_sqnr_db": layers} if layers else {}),
        "ram_analysis": _ram_analysis(network, graph, trained, precision),
        "seconds": clock.seconds,
        "created_by": f"edgecnn {edgecnn.__version__}",
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "created_with": _versions(),
    }


def _check_preprocessing(
    network: Network, expected: Probabilities, classes: NDArray[np.int64]
) -> None:
    if network.checkpoint is None or "test" not in network.checkpoint.details:
        return
    trained = float(network.checkpoint.details["test"]["top1"])
    check_preprocessing(Accuracy.of(expected, classes).top1, len(classes), trained)


def _quantise(job: _Job, kitchen: Kitchen, max_drop: float | None) -> dict[str, Any]:
    """Write the int8 artifacts, repaired until the bound holds if there is one."""
    with job.clock.step("calibrate", len(kitchen.images)):
        kitchen.observe()
    if max_drop is None:
        tried = [job.attempt(kitchen, "quantise", Recipe())]
    else:
        tried = climb(kitchen, partial(job.attempt, kitchen), max_drop)
    kept = best(tried)
    if kept is not tried[-1]:
        job.attempt(kitchen, kept.name, kept.recipe)
    return {
        "precision": "int8",
        "weights": "symmetric int8 per output channel",
        "activations": "asymmetric uint8 per tensor",
        "recipe": kept.recipe.to_json(),
        "ladder": [{"step": rung.name, "points_lost": rung.points_lost} for rung in tried],
    }


def _check(found: dict[str, Verification], max_drop: float | None) -> None:
    """Raise `CheckFailed` where an artifact lost more than the bound."""
    if max_drop is None:
        return
    failures = [
        f"{name} lost {verification.points_lost:.2f} points"
        for name, verification in found.items()
        if verification.points_lost > max_drop
    ]
    if failures:
        raise CheckFailed(
            f"{'; '.join(failures)} of top-1, more than --max-drop {max_drop:g}: no bundle "
            "written. Calibrate with more pictures of what the camera sees, or use --fp16."
        )


def _writer(name: str) -> Callable[..., None]:
    if name == "tflite":
        from edgecnn.export.tflite import write_tflite

        return write_tflite
    if name == "onnx":
        from edgecnn.export.onnx import write_onnx

        return write_onnx
    from edgecnn.export.openvino import write_openvino

    return write_openvino


def _artifact(name: str, folder: Path, found: Verification) -> dict[str, Any]:
    ops = audit(name, folder)
    return {
        "files": [asdict(describe_file(folder, file)) for file in MODEL_FILES[name]],
        "verification": found.to_json(),
        "int8_ops": ops.int8_ops,
        "float_ops": ops.float_ops,
        "float_op_names": list(ops.float_op_names),
    }


def _described(pictures: CalibrationSet, precision: str) -> dict[str, Any]:
    return {
        "name": pictures.name,
        "origin": pictures.origin,
        "count": len(pictures.pictures) if precision == "int8" else 0,
        "held_out": len(pictures.held_out),
        "sha256": pictures.sha256,
        "representative": pictures.representative,
    }


def _ram_analysis(
    network: Network, graph: Graph, trained: Graph, precision: Precision
) -> dict[str, Any]:
    model = network.model
    return analyze_graph(
        graph,
        trained,
        architecture=network.architecture,
        parameters=model.count_params(),
        trainable_parameters=sum(int(np.prod(w.shape)) for w in model.trainable_weights),
        dtype=precision,
    ).to_json()


def _metadata(network: Network, precision: str) -> dict[str, str]:
    """What a file says of itself when it travels alone."""
    return {
        "edgecnn.architecture": network.architecture,
        "edgecnn.precision": precision,
        "edgecnn.weights": f"{network.weights.kind}: {network.weights.source}",
        "edgecnn.preprocessing": json.dumps(network.preprocessing.to_json()),
        "edgecnn.labels": "\n".join(network.labels),
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("keras", "ai-edge-litert", "onnx", "onnxruntime", "openvino", "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


class _Clock:
    """Reports each step and keeps how long it took."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str, total: int | None = None) -> Iterator[None]:
        self.progress.step(name, total)
        start = time.perf_counter()
        yield
        spent = time.perf_counter() - start
        self.seconds[name] = round(self.seconds.get(name, 0.0) + spent, 3)
