"""Trying out which engine is the fastest for a bundle on this board.

Every candidate runs for a moment in a process of its own; then all run once more in the opposite
order, so that a board which warms up meanwhile treats none better than the others. One that was
far behind the first time is spared the second.
"""

import logging
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgecnn.bundle import Bundle
from edgecnn.errors import RuntimeUnavailable
from edgecnn.targets.board.target import Target
from edgecnn.targets.engines import runtimes
from edgecnn.targets.engines.child import answer, start

log = logging.getLogger(__name__)
WORKER = "edgecnn.targets.engines.trial_worker"
LIMIT_S = 300.0
"""A moment of inferences, after the golden pictures on a slow board."""
FAR_BEHIND = 1.5
"""Times the fastest so far."""

Candidate = tuple[str, int]


@dataclass(frozen=True)
class Tried:
    """How fast an engine was with a number of threads."""

    runtime: str
    threads: int
    p90_ms: float

    def __str__(self) -> str:
        return f"{self.runtime} with {self.threads} thread{'s' * (self.threads > 1)}"


def try_out(
    bundle: Bundle,
    board: Target,
    engines: Sequence[str],
    threads: Sequence[int],
    *,
    self_check: bool,
) -> list[Tried]:
    """Run the engines with each number of threads; those that fail are left out, with a warning.

    An engine on another device than the cores is tried once, for it has no use for threads.
    """
    candidates = [
        (engine, count)
        for engine in engines
        for count in (threads if engine in runtimes.RUNTIMES else threads[-1:])
    ]
    log.warning(
        "edgecnn: looking for the fastest engine on this board, once for this bundle: %s with %s "
        "threads. --runtime and --threads name one instead.",
        ", ".join(engines),
        " and ".join(map(str, threads)),
    )
    started = time.perf_counter()
    found: dict[Candidate, list[float]] = {}
    failed: set[str] = set()
    for candidate in [*candidates, *reversed(candidates)]:
        runtime, count = candidate
        best = min((times[0] for times in found.values()), default=float("inf"))
        if runtime in failed or found.get(candidate, [0.0])[0] > FAR_BEHIND * best:
            continue
        try:
            # Once is enough, and on a slow board the golden pictures take their time.
            check = self_check and candidate not in found
            times = try_once(bundle, board, runtime, count, self_check=check)
        except RuntimeUnavailable as error:
            failed.add(runtime)
            log.warning("edgecnn: %s is left out: %s", runtime, error)
            continue
        if not found:
            seconds = 2 * len(candidates) * (time.perf_counter() - started)
            log.warning("edgecnn: this takes up to %.0f seconds.", seconds)
        found.setdefault(candidate, []).append(times["p90_ms"])
    tried = [
        Tried(runtime, count, statistics.fmean(times))
        for (runtime, count), times in found.items()
        if runtime not in failed
    ]
    _tell(sorted(tried, key=lambda one: one.p90_ms))
    return tried


def try_once(
    bundle: Bundle, board: Target, runtime: str, threads: int, *, self_check: bool
) -> dict[str, Any]:
    """Open a bundle and run it for a moment, in a process of its own: see `trial_worker.measure`.

    Raises `RuntimeUnavailable` if the engine fails, or fails the golden pictures.
    """
    arguments = {
        "bundle": str(bundle.path),
        "runtime": runtime,
        "threads": threads,
        "target": board.name,
        "self_check": self_check,
    }
    return answer(start(WORKER, arguments), f"{runtime} with {bundle.path}", LIMIT_S)


def _tell(ranked: Sequence[Tried]) -> None:
    if len(ranked) > 1:
        best, second, *_ = ranked
        log.warning(
            "edgecnn: %s wins: p90 %.2f ms, %.0f%% less than %s (%.2f ms). Later starts take it at "
            "once.",
            best,
            best.p90_ms,
            100 * (1 - best.p90_ms / second.p90_ms),
            second,
            second.p90_ms,
        )
