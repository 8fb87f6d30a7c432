"""The manifest: what a bundle says of itself."""

import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import edgecnn
from edgecnn import album, golden, reliability
from edgecnn.analysis import RamAnalysis
from edgecnn.bundle import FORMATS, MODEL_FILES, SCHEMA, Bundle, describe_file
from edgecnn.calibration.calibration_set import CalibrationSet
from edgecnn.checkpoint import training_of
from edgecnn.export import formats
from edgecnn.export.explain import PLOT
from edgecnn.export.reliability import Fitted
from edgecnn.export.request import Request
from edgecnn.export.verify import Verification
from edgecnn.labels import LABELS


def describe(
    *,
    folder: Path,
    out: Path,
    request: Request,
    quantisation: dict[str, Any],
    found: dict[str, Verification],
    fitted: dict[str, Fitted],
    kept: Bundle | None,
    layers: dict[str, dict[str, float]],
    features: int,
    shown: dict[str, Any] | None,
    ram_analysis: RamAnalysis,
    seconds: dict[str, float],
) -> dict[str, Any]:
    """The manifest of a folder in which everything else is written.

    What is said of the artifacts `kept` from an earlier export is said again.
    """
    network, precision = request.network, request.options.precision
    preprocessing = network.preprocessing
    earlier: dict[str, Any] = {} if kept is None else kept.manifest
    artifacts = dict(earlier.get("artifacts", {}))
    artifacts |= {
        name: _artifact(name, folder, found[name], fitted.get(name))
        for name in found.keys() - artifacts
    }
    layers = earlier.get("layers_sqnr_db", {}) | layers
    return {
        "schema": SCHEMA,
        "architecture": network.architecture,
        "weights": network.weights._asdict(),
        "precision": precision,
        "input": {
            "height": preprocessing.height,
            "width": preprocessing.width,
            "channels": preprocessing.channels,
            "dtype": "uint8",
            "layout": "NHWC",
            "color": preprocessing.color,
        },
        "preprocessing": preprocessing.to_json(),
        "labels": asdict(describe_file(folder, LABELS)),
        **request.head.to_json(),
        **({"head_added": request.added} if request.added else {}),
        **({"features": features} if features else {}),
        **_origin(request, out),
        **({"training": training_of(network.checkpoint)} if network.checkpoint else {}),
        **_file(folder, "golden", golden.FILE),
        **_file(folder, "answers", reliability.FILE),
        **({"album": asdict(describe_file(folder, album.FILE)), "shown": shown} if shown else {}),
        "calibration": _described(request.pictures, precision),
        "quantisation": quantisation,
        "artifacts": {name: artifacts[name] for name in FORMATS if name in artifacts},
        **({"layers_sqnr_db": layers} if layers else {}),
        **_file(folder, "layers_plot", PLOT),
        "ram_analysis": ram_analysis.to_json(),
        "seconds": _seconds_of(earlier) | seconds,
        "created_by": f"edgecnn {edgecnn.__version__}",
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "created_with": versions(),
    }


def _file(folder: Path, name: str, file: str) -> dict[str, Any]:
    """Where it is there."""
    return {name: asdict(describe_file(folder, file))} if (folder / file).is_file() else {}


def _origin(request: Request, out: Path) -> dict[str, Any]:
    """Where the Keras model is, seen from the bundle: what `evaluate` compares with."""
    network = request.network
    file = network.checkpoint.path if network.checkpoint is not None else network.file
    if file is None:
        return {}
    relative = os.path.relpath(file.absolute(), out.absolute())
    return {"reference": {"file": relative, "output": network.output}}


def _seconds_of(earlier: dict[str, Any]) -> dict[str, float]:
    """How long the artifacts kept took when they were made."""
    seconds = earlier.get("seconds", {}).items()
    return {step: spent for step, spent in seconds if step.startswith(("write ", "verify "))}


def _artifact(
    name: str, folder: Path, found: Verification, fitted: Fitted | None
) -> dict[str, Any]:
    ops = formats.get(name).audit(folder)
    return {
        "files": [asdict(describe_file(folder, file)) for file in MODEL_FILES[name]],
        "verification": found.to_json(),
        **({} if fitted is None else {"reliability": fitted.details}),
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


def versions() -> dict[str, str]:
    """Of what makes, writes and judges the artifacts."""
    found = {"python": platform.python_version()}
    for package in ("keras", "ai-edge-litert", "onnx", "onnxruntime", "openvino", "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
