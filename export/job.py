"""An export under way: writing the artifacts, judging them, repairing what lost too much."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.bundle import Bundle
from edgecnn.errors import CheckFailed
from edgecnn.export.about import About
from edgecnn.export.accuracy import Probabilities, Truths
from edgecnn.export.earlier import missing
from edgecnn.export.ladder import Rung, best, climb
from edgecnn.export.order import Order
from edgecnn.export.progress import Progress
from edgecnn.export.quantised import Quantised
from edgecnn.export.recipe import Kitchen, Recipe
from edgecnn.export.verify import Verification, check_artifacts, verify


class Clock:
    """Reports each step and keeps how long it took."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str, total: int | None = None) -> Iterator[None]:
        """Measure what happens in the block under that name."""
        self.progress.step(name, total)
        start = time.perf_counter()
        yield
        spent = time.perf_counter() - start
        self.seconds[name] = round(self.seconds.get(name, 0.0) + spent, 3)


@dataclass
class Job:
    """An export under way: everything that writing and judging an artifact needs."""

    folder: Path
    order: Order
    formats: Sequence[str]
    clock: Clock
    held_out: NDArray[np.uint8]
    expected: Probabilities
    classes: Truths | None
    kept: Bundle | None = None
    """An earlier export of the same, some of whose artifacts are in the folder."""
    found: dict[str, Verification] = field(default_factory=dict)
    """What the artifacts now in the folder did."""
    quantised: Quantised | None = None
    """What they were written from."""

    def keep(self) -> None:
        """Take over the artifacts of the earlier export."""
        if self.kept is None:
            return
        for name, artifact in self.kept.artifacts.items():
            for file in artifact.files:
                shutil.copyfile(self.kept.path / file.path, self.folder / file.path)
            self.found[name] = Verification.from_json(artifact.details["verification"])

    def write_and_verify(self, quantised: Quantised | None) -> None:
        """Write every format not kept into the folder and run it on the held-out pictures."""
        self.quantised = quantised
        graph = quantised.graph if quantised else self.order.graph
        network, precision = self.order.network, self.order.settings.precision
        about = About(
            network.architecture,
            precision,
            network.weights,
            network.preprocessing,
            self.order.labels,
            self.order.head,
        )
        for name in missing(self.formats, self.kept):
            with self.clock.step(f"write {name}"):
                half = precision == "fp16"
                _writer(name)(graph, quantised, self.folder, half=half, about=about)
            with self.clock.step(f"verify {name}", len(self.held_out)):
                self.found[name] = verify(
                    name,
                    self.folder,
                    self.held_out,
                    self.expected,
                    self.classes,
                    self.order.head,
                    self.clock.progress.advance,
                )

    def attempt(self, kitchen: Kitchen, name: str, recipe: Recipe) -> Rung:
        """Quantise by a recipe, and say what it lost."""
        with self.clock.step(name):
            quantised = kitchen.cook(recipe)
        self.write_and_verify(quantised)
        check_artifacts(self.found, "int8")
        lost = {format: verification.points_lost for format, verification in self.found.items()}
        error = float(np.mean([v.comparison.mean_abs_error for v in self.found.values()]))
        return Rung(name, recipe, lost, error)


def quantise_and_write(job: Job, kitchen: Kitchen) -> dict[str, Any]:
    """Write the int8 artifacts, repaired until the bound holds if there is one."""
    with job.clock.step("calibrate", len(kitchen.images)):
        kitchen.observe()
    recipe, max_drop = job.order.settings.recipe, job.order.settings.max_drop
    if job.kept is not None:
        decided: dict[str, Any] = job.kept.manifest["quantisation"]
        rung = job.attempt(kitchen, "quantise", Recipe.from_json(decided["recipe"]))
        if max_drop is None or rung.score[0] <= max_drop:
            return decided
        # What held for the other formats does not for the new one: all are made anew.
        job.kept = None
    if max_drop is None:
        tried = [job.attempt(kitchen, "quantise", recipe)]
    else:
        tried = climb(kitchen, partial(job.attempt, kitchen), recipe, max_drop)
    kept = best(tried)
    if kept is not tried[-1]:
        job.attempt(kitchen, kept.name, kept.recipe)
    return {
        "precision": "int8",
        "weights": f"symmetric int{kept.recipe.weight_bits} per output channel",
        "activations": f"{'symmetric int8' if recipe.symmetric else 'asymmetric uint8'} per tensor",
        "recipe": kept.recipe.to_json(),
        "ladder": [{"step": rung.name, "points_lost": rung.points_lost} for rung in tried],
    }


def check(found: dict[str, Verification], max_drop: float | None) -> None:
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
