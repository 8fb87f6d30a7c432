"""The manifest: what a bundle says of itself."""

import platform
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import edgecnn
from edgecnn.analysis import RamAnalysis
from edgecnn.bundle import LABELS, MODEL_FILES, SCHEMA, describe_file
from edgecnn.calibration.calibration_set import CalibrationSet
from edgecnn.export.audit import audit
from edgecnn.export.network import Network
from edgecnn.export.verify import Verification
from edgecnn.golden import FILE


def describe(
    *,
    folder: Path,
    network: Network,
    precision: str,
    pictures: CalibrationSet,
    quantisation: dict[str, Any],
    found: dict[str, Verification],
    layers: dict[str, dict[str, float]],
    ram_analysis: RamAnalysis,
    seconds: dict[str, float],
) -> dict[str, Any]:
    """The manifest of a folder in which everything else is written."""
    preprocessing = network.preprocessing
    return {
        "schema": SCHEMA,
        "architecture": network.architecture,
        "weights": asdict(network.weights),
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
        "golden": asdict(describe_file(folder, FILE)),
        "calibration": _described(pictures, precision),
        "quantisation": quantisation,
        "artifacts": {name: _artifact(name, folder, v) for name, v in found.items()},
        **({"layers_sqnr_db": layers} if layers else {}),
        "ram_analysis": ram_analysis.to_json(),
        "seconds": seconds,
        "created_by": f"edgecnn {edgecnn.__version__}",
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "created_with": _versions(),
    }


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


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("keras", "ai-edge-litert", "onnx", "onnxruntime", "openvino", "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
