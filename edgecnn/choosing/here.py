"""Measuring networks on this machine: exported with random weights, for the time depends on none.

What is exported is what `edgecnn export` makes of the same network, operator for operator; what
is left out is all that has to do with what it answers.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecnn.bundle import MODEL_FILES
from edgecnn.targets.engines import runtimes
from edgecnn.targets.engines.child import answer, start

WORKER = "edgecnn.choosing.timing_worker"
LIMIT_S = 600.0
ROUNDS = 8
PICTURES = 2
"""Noise that ranges are taken from: they must be some, and no more."""


@dataclass(frozen=True)
class Timed:
    """A network's latency in an engine, measured: the fastest of its inferences."""

    runtime: str
    precision: str
    threads: int
    ms: float


def time_network(
    architecture: str,
    side: int,
    engines: Sequence[str],
    precisions: Sequence[str],
    threads: Sequence[int],
    rounds: int = ROUNDS,
) -> list[Timed]:
    """Export a network of the zoo at an input side and time it in these engines.

    Tens of seconds. Raises `RuntimeUnavailable` where an engine cannot.
    """
    found = []
    with tempfile.TemporaryDirectory(prefix="edgecnn-") as scratch:
        folders = exported(architecture, side, precisions, Path(scratch))
        for name in engines:
            model = MODEL_FILES[runtimes.get(name).format][0]
            arguments = {
                "runtime": name,
                "files": [str(folder / model) for folder in folders],
                "threads": list(threads),
                "rounds": rounds,
            }
            told = answer(start(WORKER, arguments), f"{name} with {architecture}", LIMIT_S)
            for precision, by_threads in zip(precisions, told["latency_ms"], strict=True):
                found += [
                    Timed(name, precision, int(count), ms) for count, ms in by_threads.items()
                ]
    return found


def exported(architecture: str, side: int, precisions: Sequence[str], folder: Path) -> list[Path]:
    """A folder with the model files of each precision."""
    import keras

    from edgecnn import zoo
    from edgecnn.export import formats
    from edgecnn.export.folding import fold
    from edgecnn.export.heads import with_head
    from edgecnn.export.lowering import lower
    from edgecnn.export.recipe import Quantiser, Recipe

    entry = zoo.get(architecture)
    shape = (side, side, entry.input_shape[2])
    keras.utils.set_random_seed(0)
    graph, _, _ = with_head(lower(zoo.build(architecture, shape)))
    graph = fold(graph, entry.preprocessing_for(shape))
    noise = np.random.default_rng(0).integers(0, 256, (PICTURES, *shape), np.uint8)
    folders = []
    for precision in precisions:
        quantised: Any = None
        if precision == "int8":
            recipe = Recipe("minmax", rounding="nearest", bias_correction="none")
            quantised = Quantiser(graph, noise).quantise(recipe)
        folders.append(folder / precision)
        folders[-1].mkdir()
        for name in formats.FORMATS:
            written = quantised.graph if quantised else graph
            formats.get(name).write(written, quantised, folders[-1], half=precision == "fp16")
    keras.backend.clear_session()
    return folders
