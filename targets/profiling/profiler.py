"""Profiling a bundle: every engine in a process of its own, beside what was predicted."""

import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from edgecnn import __version__
from edgecnn.arguments import at_least, each_at_least, words
from edgecnn.bundle import Bundle
from edgecnn.errors import RuntimeUnavailable
from edgecnn.targets.board.target import detect
from edgecnn.targets.engines import runtimes as registry
from edgecnn.targets.engines.choice import keep
from edgecnn.targets.engines.layer_times import LayerTime, joined
from edgecnn.targets.engines.memory_model import EngineBaseline, NetworkMemory
from edgecnn.targets.engines.session import Runtime
from edgecnn.targets.engines.trial import Tried, try_once
from edgecnn.targets.profiling import timeline
from edgecnn.targets.profiling.baseline import baseline
from edgecnn.targets.profiling.disturbance import Disturbance
from edgecnn.targets.profiling.energy import FEWEST_S, Energy, idle_w
from edgecnn.targets.profiling.loadgen import SingleStream
from edgecnn.targets.profiling.measuring import measure
from edgecnn.targets.profiling.profile import (
    Distribution,
    EndToEnd,
    Intervals,
    MemoryBytes,
    PredictedBytes,
    Profile,
    ProfileRun,
    Skipped,
)
from edgecnn.targets.profiling.roofline import measure_roofline


def profile(
    bundle_dir: Path | str,
    *,
    runtimes: str | Sequence[str] = (),
    threads: int | Sequence[int] = (),
    runs: int = 100,
    seconds: float = 1.0,
    processes: int = 3,
    per_layer: bool = False,
    loadgen: Path | None = None,
    roofline: bool = False,
    self_check: bool = True,
    target: str = "auto",
    progress: Callable[[str], None] = lambda _: None,
) -> Profile:
    """Latency and memory of a bundle on this machine.

    `runtimes` is by default every one that is installed and has its format in the bundle;
    `threads` by default as many as the board has cores. Each combination runs in fresh processes,
    one after the other: warm-up until the latency is stable, then their share of at least `runs`
    inferences and `seconds`. What differs between processes shows how far a latency can be
    trusted. With `per_layer`, the first of them then runs under the engine's own profiler; with
    `loadgen`, LoadGen runs in it and writes its log into a folder for each run in that folder.
    With `roofline`, what engine and machine can do at best is measured after each. With
    `self_check` every engine first has to answer the bundle's golden pictures as at export.
    Where all engines were measured and no time is invalid, `--runtime auto` goes by this profile
    from then on. On a board that shows its power, a run that is long enough also says what an
    inference takes of it. `progress` is told what is being done. Raises `RuntimeUnavailable` if no
    runtime could be measured, or one that was asked for by name cannot be used; `UnknownName` or
    `EdgeCnnError` for arguments out of range.
    """
    runtimes = tuple(map(registry.canonical, words(runtimes)))
    threads = each_at_least("threads", threads, 1)
    at_least("runs", runs, 1)
    at_least("seconds", seconds, 0, whole=False)
    at_least("processes", processes, 1)
    bundle = Bundle.load(bundle_dir)
    board = detect(name=target)
    idle: Sequence[float] = ()
    if seconds >= FEWEST_S:
        progress("the idle board's power")
        idle = idle_w(board)
    measured: list[ProfileRun] = []
    skipped: list[Skipped] = []
    for name in runtimes or board.runtimes:
        if reason := _why_not(name, bundle):
            if runtimes:
                raise RuntimeUnavailable(reason)
            skipped.append(Skipped(name, reason))
            continue
        for count in threads or (board.threads,):
            progress(f"{name}, {count} {'thread' if count == 1 else 'threads'}")
            try:
                if self_check and count == (threads or (board.threads,))[0]:
                    # In a process of its own: none that is measured has run before.
                    try_once(bundle, board, name, count, self_check=True)
                found = [
                    measure(
                        bundle.path,
                        name,
                        count,
                        runs=-(-runs // processes),
                        seconds=seconds / processes,
                        target=board.name,
                        per_layer=per_layer and first,
                        loadgen=loadgen / f"{name}-t{count}" if loadgen and first else None,
                    )
                    for first in (True, *[False] * (processes - 1))
                ]
            except RuntimeUnavailable as error:
                # A GPU may be here and refuse this network: the engines on the CPU remain.
                if runtimes or name in registry.RUNTIMES:
                    raise
                skipped.append(Skipped(name, str(error)))
                break
            engine = registry.get(name)
            network = NetworkMemory.of(bundle, engine.format)
            predicted = None
            # The memory model is of engines on the CPU.
            if network is not None and name in registry.RUNTIMES:
                progress(f"{name}, {count}: what the engine itself takes")
                predicted = predict(engine, network, baseline(name, count, board))
            run = _run(found, predicted, bundle.artifacts[engine.format].bytes, idle)
            known = network.layers if network else ()
            ceilings = None
            if roofline:
                progress(f"{name}, {count}: what the processor can do at best")
                ceilings = measure_roofline(name, count, board)
            measured.append(replace(run, layers=_layers(found[0], known), roofline=ceilings))
    if not measured:
        raise RuntimeUnavailable(
            f"No engine here runs {bundle.path}. " + " ".join(s.reason for s in skipped)
        )
    # A choice among all engines, made on a quiet machine.
    whole = not runtimes and all(run.valid for run in measured)
    if whole:
        keep(bundle, board, [Tried(r.runtime, r.threads, r.latency_ms.p90) for r in measured])
    return Profile(
        target=board.name,
        board=board.board,
        cpu=board.cpu,
        versions=_versions(),
        bundle=bundle.name,
        weights=bundle.weights.kind,
        runs=tuple(measured),
        skipped=tuple(skipped),
        kept=whole,
        ram_analysis=bundle.manifest.get("ram_analysis"),
    )


def predict(engine: Runtime, network: NetworkMemory, constants: EngineBaseline) -> PredictedBytes:
    """The peak memory of a process that runs a network, without running it."""
    weights = engine.weights_bytes(network)
    arena = network.arena_bytes + engine.scratch_bytes(network)
    graph = constants.operator_bytes * (network.operators - constants.operators)
    return PredictedBytes(
        weights=weights,
        arena=arena,
        graph=graph,
        baseline=constants.peak_bytes,
        peak=weights + arena + graph + constants.peak_bytes,
    )


def _why_not(name: str, bundle: Bundle) -> str | None:
    engine = registry.get(name)
    if engine.format not in bundle.artifacts:
        return f"{name} runs {engine.format}, and {bundle.path} holds none."
    return registry.missing(name)


def _run(
    found: Sequence[dict[str, Any]],
    predicted: PredictedBytes | None,
    artifact_bytes: int,
    idle: Sequence[float],
) -> ProfileRun:
    """One result of the same engine's processes."""
    middle = sorted(found, key=lambda part: part["memory"]["final"]["peak"])[len(found) // 2]
    memory = middle["memory"]
    samples = [part["samples_ms"] for part in found]
    together = [sample for part in samples for sample in part]
    ways = [part["end_to_end_ms"] for part in found]
    way = {step: [ms for one in ways for ms in one[step]] for step in ways[0]}
    total = Distribution.of(way.pop("total"))
    along = timeline.joined([p["moments"] for p in found], [p["started_at"] for p in found])
    said = [reason for part in found for reason in part["invalid_reasons"]]
    disturbed = [Disturbance(**part["disturbance"]) for part in found]
    reasons = tuple(dict.fromkeys([*said, *timeline.reasons(along, disturbed)]))
    return ProfileRun(
        runtime=middle["runtime"],
        engine=middle["engine"],
        precision=middle["precision"],
        threads=middle["threads"],
        count=len(together),
        latency_ms=Distribution.of(together),
        latency_interval_ms=Intervals.of(samples),
        samples_ms=tuple(together),
        process_counts=tuple(map(len, samples)),
        warmup_count=sum(part["warmup_count"] for part in found),
        cpu_ms=statistics.median(part["cpu_ms"] for part in found),
        end_to_end_ms=EndToEnd(
            **{part: statistics.median(values) for part, values in way.items()},
            total_p50=total.p50,
            total_p99=total.p99,
        ),
        load_ms=middle["load_ms"],
        first_inference_ms=middle["first_inference_ms"],
        memory_bytes=MemoryBytes(
            before_load=memory["before_load"]["resident"],
            after_load=memory["after_load"]["resident"],
            after_first_inference=memory["after_first_inference"]["resident"],
            peak=memory["final"]["peak"],
            proportional=memory["final"]["proportional"],
        ),
        artifact_bytes=artifact_bytes,
        thermal={"before": found[0]["thermal"]["before"], "after": found[-1]["thermal"]["after"]},
        moments=along,
        drift=timeline.Drift.of(along, together),
        energy=Energy.of([part["moments"] for part in found], idle),
        valid=not reasons,
        invalid_reasons=reasons,
        executed_ops=middle["executed_ops"],
        predicted_bytes=predicted,
        loadgen=SingleStream(**found[0]["loadgen"]) if found[0]["loadgen"] else None,
        no_layers_reason=found[0].get("no_layers_reason", ""),
    )


def _layers(
    found: dict[str, Any], known: Sequence[Mapping[str, Any]]
) -> tuple[LayerTime, ...] | None:
    if "layers" not in found:
        return None
    return joined([LayerTime(**layer) for layer in found["layers"]], known)


def _versions() -> dict[str, str]:
    return {
        "edgecnn": __version__,
        "python": platform.python_version(),
        "numpy": metadata.version("numpy"),
        "opencv": _opencv_version(),
        "kernel": platform.release(),
    }


def _opencv_version() -> str:
    from edgecnn.opencv import opencv

    return str(opencv().__version__)
