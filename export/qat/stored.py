"""Trained integers in a file: safetensors, which holds numbers and runs nothing.

Beside the network whose integers they are, whose hash they carry. Only what was decided is kept;
the operators themselves follow from the network, as at every export.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgecnn import strict_json
from edgecnn.checkpoint import Checkpoint
from edgecnn.errors import UNREADABLE, DataError, require
from edgecnn.export.quantised import IntWeights, Quantised, Scale
from edgecnn.graph import Array, Graph, Operator

SCHEMA = 1
TYPES = {"kernel": "int8", "bias": "int32", "scales": "float32"}
"""Of an operator's tensors."""


def write(path: Path, quantised: Quantised, of: str) -> None:
    """Keep what was decided of the network whose file has the SHA-256 `of`."""
    numpy_files = _library()
    tensors: dict[str, Array] = {}
    for name, ints in quantised.weights.items():
        tensors |= {
            f"{name}/kernel": np.ascontiguousarray(ints.kernel),
            f"{name}/bias": ints.bias,
            f"{name}/scales": ints.scales,
        }
    decided = {
        "schema": SCHEMA,
        "network": of,
        "operators": [[op.name, op.inputs] for op in quantised.graph],
        "scales": {name: [s.scale, s.zero_point] for name, s in quantised.scales.items()},
        "float_operators": sorted(quantised.float_operators),
    }
    numpy_files.save_file(tensors, path, metadata={"edgecnn": json.dumps(decided)})


def read(checkpoint: Checkpoint, graph: Graph) -> Quantised:
    """What `write` kept beside a checkpoint's network, of which `graph` is folded.

    Raises `DataError` for a file that is damaged or belongs to another network.
    """
    assert checkpoint.integers is not None
    return read_file(checkpoint.integers, graph, checkpoint.weights().sha256)


def read_file(path: Path, graph: Graph, of: str) -> Quantised:
    """The same, of the network whose file has the SHA-256 `of`."""
    library = _library()
    from safetensors import SafetensorError

    try:
        with library.safe_open(path, framework="numpy") as stored:
            decided: dict[str, Any] = strict_json.parse(stored.metadata()["edgecnn"])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        if decided["schema"] != SCHEMA or decided["network"] != of:
            raise DataError(f"{path} holds the integers of another network than lies beside it.")
        scales = {name: _scale(*pair) for name, pair in decided["scales"].items()}
        names = {key.rpartition("/")[0] for key in tensors}
        weights = {
            name: IntWeights(*(_of_type(tensors[f"{name}/{part}"], TYPES[part]) for part in TYPES))
            for name in names
        }
        operators = _operators(graph, decided["operators"])
        in_float = frozenset(decided["float_operators"])
    except (SafetensorError, *UNREADABLE) as error:
        raise DataError(
            f"{path} cannot be read as trained integers of {graph.name} ({error}): train anew."
        ) from None
    whole = Graph(operators, graph.output, graph.name)
    fitting = {op.name: op.weights["kernel"].shape for op in whole if "kernel" in op.weights}
    if any(fitting.get(name) != ints.kernel.shape for name, ints in weights.items()):
        raise DataError(f"{path} does not fit {graph.name} as this version folds it: train anew.")
    return Quantised(whole, scales, weights, float_operators=in_float)


def _scale(scale: float, zero_point: int) -> Scale:
    if not (type(scale) is float and scale > 0 and type(zero_point) is int):
        raise TypeError(f"{scale!r} and {zero_point!r} are no scale")
    if not 0 <= zero_point <= 255:
        raise ValueError(f"{zero_point} is no zero point")
    return Scale(scale, zero_point)


def _of_type(tensor: Array, kind: str) -> Array:
    if tensor.dtype != kind or not np.isfinite(tensor).all():
        raise TypeError(f"a tensor is of {tensor.dtype} or not finite, where {kind} should be")
    return tensor


def _operators(graph: Graph, kept: list[tuple[str, list[str]]]) -> list[Operator]:
    """The graph's, with the changes of scale between them."""
    known = graph.by_name
    found: dict[str, Operator] = {}
    for name, inputs in kept:
        shape = found[inputs[0]].shape if inputs else ()
        op = known.get(name, Operator(name, "requantise", list(inputs), shape))
        found[name] = replace(op, inputs=list(inputs))
    if not known.keys() <= found.keys():
        raise ValueError(f"it lacks '{next(iter(known.keys() - found.keys()))}'")
    return list(found.values())


def _library() -> Any:
    return require(
        "safetensors.numpy", what="Trained integers", package="safetensors", extra="train"
    )
