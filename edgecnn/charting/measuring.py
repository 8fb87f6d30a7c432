"""One row: a network trained, exported to int8, judged on test pictures and timed."""

import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecnn.binomial import interval
from edgecnn.bundle import Bundle
from edgecnn.charting.recipe import Recipe
from edgecnn.checkpoint import MANIFEST, Checkpoint
from edgecnn.errors import CheckFailed
from edgecnn.training.run import RUN, now

if TYPE_CHECKING:
    from edgecnn.targets.profiling.profile import ProfileRun

log = logging.getLogger(__name__)
Progress = Callable[[str], None]


def measure(architecture: str, recipe: Recipe, folder: Path, progress: Progress) -> dict[str, Any]:
    """The row of a network; its run and bundle go to `folder`, and are taken up where they are.

    Raises `EdgeCnnError` where the network cannot be had by this recipe.
    """
    from edgecnn.export.evaluate import evaluate
    from edgecnn.quiet import import_keras

    import_keras()
    import keras

    keras.backend.clear_session()  # the network before is not needed any more
    progress(f"{architecture}: training")
    run = _trained(architecture, recipe, folder / "runs" / architecture)
    progress(f"{architecture}: export")
    bundle, within = _exported(run, recipe, folder / "bundles" / architecture)
    progress(f"{architecture}: evaluation")
    found = evaluate(bundle.path, recipe.data)
    assert found.reference is not None  # the run is here
    quantised, analysis = bundle.manifest["quantisation"], bundle.manifest["ram_analysis"]
    return {
        "architecture": architecture,
        "recipe": recipe.to_json(),
        "parameters": analysis["parameters"],
        "macs": analysis["macs"],
        "training_seconds": run.details["seconds"],
        "pictures": found.count,
        "float32": _share(found.reference.top1, found.count),
        "int8": {
            result.runtime: {
                **_share(result.accuracy.top1, found.count),
                "drop": result.drop.top1_drop if result.drop else None,
                "drop_interval": list(result.drop.interval) if result.drop else None,
                "agreement": result.comparison.agreement_top1 if result.comparison else None,
            }
            for result in found.results.values()
        },
        "repair": repair(quantised["recipe"]),
        "within_max_drop": within,
        "ladder": quantised["ladder"],
        **speed_and_memory(architecture, folder, progress),
    }


def speed_and_memory(architecture: str, folder: Path, progress: Progress) -> dict[str, Any]:
    """What the row says of this machine: each engine's latency and memory, with all cores."""
    from edgecnn.targets.profiling.profiler import profile

    found = profile(
        folder / "bundles" / architecture,
        progress=lambda what: progress(f"{architecture}: {what}"),
    )
    return {
        "measured_at": now(),
        "cpu": found.cpu,
        "versions": found.versions,
        "engines": {run.runtime: _engine(run) for run in found.runs},
    }


def repair(recipe: dict[str, Any]) -> str:
    """Which step of the ladder a bundle's recipe is of: `none`, or what was done."""
    steps = ["cross-layer equalisation"] if recipe["equalise"] else []
    if count := len(recipe["float_layers"]):
        steps.append(f"{count} layer{'s' * (count > 1)} in float")
    return ", ".join(steps) or "none"


def _trained(architecture: str, recipe: Recipe, out: Path) -> Checkpoint:
    from edgecnn.training import resume, train

    if (out / MANIFEST).is_file():
        return Checkpoint.load(out)
    if (out / RUN).is_file():
        found = resume(architecture, out=out)
    else:
        found = train(architecture, recipe.data, out=out, **vars(recipe.settings))
    assert found is not None  # only workers of several machines have none
    return found


def _exported(run: Checkpoint, recipe: Recipe, out: Path) -> tuple[Bundle, bool]:
    """The bundle, and whether it keeps within what int8 may lose on the run's held-out pictures."""
    from edgecnn.export.pipeline import export

    try:
        return export(run.path, out=out, max_drop=recipe.max_drop), True
    except CheckFailed as error:
        log.warning("%s: %s It is taken as it is.", run.architecture, error)
    return export(run.path, out=out), False


def _share(top1: float, count: int) -> dict[str, Any]:
    return {"top1": top1, "interval": list(interval(round(top1 * count), count))}


def _engine(run: "ProfileRun") -> dict[str, Any]:
    predicted = run.predicted_bytes
    return {
        "engine": run.engine,
        "threads": run.threads,
        "latency_ms": asdict(run.latency_ms),
        "p50_interval_ms": list(run.latency_interval_ms.p50),
        "valid": run.valid,
        "ram_bytes": run.memory_bytes.peak,
        "predicted_ram_bytes": None if predicted is None else predicted.peak,
        "prediction_error": run.prediction_error,
    }
