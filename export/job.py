"""An export under way: writing the artifacts, judging them, repairing what lost too much."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.bundle import Bundle
from edgecnn.errors import CheckFailed
from edgecnn.export import formats
from edgecnn.export.features import count as feature_count
from edgecnn.export.features import quantised_with_features, with_features
from edgecnn.export.formats.about import About
from edgecnn.export.held_out import HeldOut
from edgecnn.export.ladder import Rung, best, climb
from edgecnn.export.progress import ExportProgress
from edgecnn.export.quantised import Quantised
from edgecnn.export.recipe import Quantiser, Recipe
from edgecnn.export.request import Request
from edgecnn.export.reuse import missing
from edgecnn.export.sufficiency import judge
from edgecnn.export.verify import (
    Verification,
    check_artifacts,
    check_half,
    open_artifact,
    verify,
)
from edgecnn.neighbours import Neighbours
from edgecnn.pictures import prepare, prepare_in_file
from edgecnn.targets.engines.session import Session


class Clock:
    """Reports each step and keeps how long it took."""

    def __init__(self, progress: ExportProgress) -> None:
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
    request: Request
    held_out: HeldOut
    formats: Sequence[str]
    clock: Clock
    kept: Bundle | None = None
    """An earlier export of the same."""
    sessions: dict[str, Session] = field(default_factory=dict)
    """The artifacts now in the folder, each in its engine."""
    found: dict[str, Verification] = field(default_factory=dict)
    """What they did."""
    quantised: Quantised | None = None
    """What they were written from."""

    def take_over(self) -> None:
        """Copy the artifacts of the earlier export, if there is one."""
        if self.kept is None:
            return
        for name, artifact in self.kept.artifacts.items():
            for file in artifact.files:
                shutil.copyfile(self.kept.path / file.path, self.folder / file.path)
            self.sessions[name] = open_artifact(name, self.folder)
            self.found[name] = Verification.from_json(artifact.details["verification"])

    def write_and_verify(self, quantised: Quantised | None) -> None:
        """Write every format not kept into the folder and run it on the held-out pictures."""
        self.quantised = quantised
        graph = quantised.graph if quantised else self.request.graph
        if self.request.options.features:
            quantised = quantised and quantised_with_features(quantised)
            graph = quantised.graph if quantised else with_features(graph)
        network, precision = self.request.network, self.request.options.precision
        about = About(
            network.architecture,
            precision,
            network.weights,
            network.preprocessing,
            self.request.labels,
            self.request.head,
            feature_count(graph),
        )
        for name in missing(self.formats, self.kept):
            # An engine may have its file mapped into memory: it is closed before that is rewritten.
            self.sessions.pop(name, None)
            with self.clock.step(f"write {name}"):
                half = precision == "fp16"
                formats.get(name).write(graph, quantised, self.folder, half=half, about=about)
            with self.clock.step(f"verify {name}", len(self.held_out.images)):
                self.sessions[name] = open_artifact(name, self.folder)
                self.found[name] = verify(
                    self.sessions[name],
                    self.held_out.images,
                    self.held_out.expected,
                    self.held_out.truths,
                    self.request.head,
                    self.clock.progress.advance,
                )

    def neighbours(self, name: str) -> Neighbours | None:
        """What that artifact's features are of calibration pictures, where it gives any."""
        session = self.sessions[name]
        if not session.features:
            return None
        features = np.empty((len(self._known), session.features), np.float32)
        for row, image in zip(features, self._known, strict=True):
            session.infer(image[None], row)
        return Neighbours.of(features)

    @cached_property
    def _known(self) -> NDArray[np.uint8]:
        """Calibration pictures that others are held against."""
        pictures = Neighbours.chosen(self.request.pictures.pictures)
        return prepare(pictures, self.request.network.preprocessing)

    def attempt(self, quantiser: Quantiser, name: str, recipe: Recipe) -> Rung:
        """Quantise by a recipe, and say what it lost."""
        with self.clock.step(name):
            quantised = quantiser.quantise(recipe)
        self.write_and_verify(quantised)
        check_artifacts(self.found, "int8")
        lost = {format: verification.points_lost for format, verification in self.found.items()}
        error = float(np.mean([v.comparison.mean_abs_error for v in self.found.values()]))
        return Rung(name, recipe, lost, error)


def write_float(job: Job) -> dict[str, Any]:
    """Write the artifacts in single or half precision."""
    precision = job.request.options.precision
    if precision == "fp16":
        check_half(job.request.graph)
    job.write_and_verify(None)
    check_artifacts(job.found, precision)
    return {"precision": precision}


def write_trained(job: Job, quantised: Quantised) -> dict[str, Any]:
    """Write the int8 artifacts by integers that were trained, which nothing here changes."""
    job.write_and_verify(quantised)
    check_artifacts(job.found, "int8")
    return {
        "precision": "int8",
        "weights": "symmetric int8 per output channel",
        "activations": "asymmetric uint8 per tensor",
        "trained": True,
    }


def write_int8(job: Job) -> dict[str, Any]:
    """Write the int8 artifacts, repaired until the bound holds if there is one."""
    if job.request.integers is not None:
        return write_trained(job, job.request.integers)
    pictures, preprocessing = job.request.pictures, job.request.network.preprocessing
    quantiser = Quantiser(
        job.request.graph,
        prepare_in_file(pictures.pictures, preprocessing),
        job.clock.progress.advance,
        representative=pictures.representative,
    )
    with job.clock.step("calibrate", len(quantiser.images)):
        quantiser.observe()
    max_drop = job.request.options.max_drop
    if job.kept is not None:
        decided: dict[str, Any] = job.kept.manifest["quantisation"]
        rung = job.attempt(quantiser, "quantise", Recipe.from_json(decided["recipe"]))
        if max_drop is None or rung.score[0] <= max_drop:
            return decided
        # What held for the other formats does not for the new one: all are made anew.
        job.kept = None
    with job.clock.step("quantise"):
        recipe = quantiser.settled(job.request.options.recipe)
    if max_drop is None:
        tried = [job.attempt(quantiser, "quantise", recipe)]
    else:
        tried = climb(quantiser, partial(job.attempt, quantiser), recipe, max_drop)
    kept = best(tried)
    if kept is not tried[-1]:
        job.attempt(quantiser, kept.name, kept.recipe)
    assert job.quantised is not None
    with job.clock.step("half of the pictures"):
        sufficed = judge(
            *(quantiser, kept.recipe, job.quantised),
            *(pictures.pictures, job.held_out, job.request.head),
        )
    return {
        "precision": "int8",
        "weights": f"symmetric int{kept.recipe.weight_bits} per output channel",
        "activations": f"{'symmetric int8' if recipe.symmetric else 'asymmetric uint8'} per tensor",
        "recipe": kept.recipe.to_json(),
        "ladder": [{"step": rung.name, "points_lost": rung.points_lost} for rung in tried],
        **({} if sufficed is None else {"sufficiency": sufficed.to_json()}),
    }


def hold_to_bound(found: dict[str, Verification], max_drop: float | None) -> None:
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
