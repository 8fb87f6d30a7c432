"""Two profiles: latency by its interval, memory within what repeats of a run differ by."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from edgecnn.comparison.figure import Figure, Limits, judge
from edgecnn.errors import DataError
from edgecnn.spread import Estimate
from edgecnn.targets.profiling.energy import Energy

ENOUGH_FOR_P99 = 1000
"""A percentile needs some ten samples beyond it before an interval of it means anything."""
MEMORY_NOISE = 0.01
"""By how much the peak of two equal runs differs: which pages were read, what malloc kept.

Six profiles of one bundle on x86 spread over 0.2% in each of the three engines.
"""

Report = dict[str, Any]


def figures(
    old: Report, new: Report, limits: Limits, *, beside_others: bool = False
) -> tuple[list[Figure], list[str]]:
    """Figures of every engine and number of threads that both profiles hold.

    A latency is unclear that was measured while other programs ran, unless both were measured
    `beside_others` on purpose. Raises `DataError` for profiles of different boards, or with no
    engine in common.
    """
    for key in ("board", "cpu"):
        if old[key] != new[key]:
            raise DataError(
                f"Profiles of different machines cannot be compared: {old[key]}, {new[key]}."
            )
    before, after = _by_engine(old), _by_engine(new)
    notes = [f"{name} is only in one of the files." for name in before.keys() ^ after.keys()]
    both = [name for name in before if name in after]
    if not both:
        raise DataError("The profiles have no engine with the same number of threads in common.")
    found: list[Figure] = []
    for name in both:
        a, b = before[name], after[name]
        if a["engine"] != b["engine"]:
            notes.append(f"{name}: {a['engine']} before, {b['engine']} after.")
        found += _latencies(name, a, b, limits.latency, beside_others=beside_others)
        found += _energy(name, a, b, limits.latency)
        found += _memory(name, a, b, limits.memory)
    return found, sorted(notes)


def _by_engine(report: Report) -> dict[str, Report]:
    return {
        f"{run['runtime']}, {run['threads']} thread{'s' * (run['threads'] > 1)}": run
        for run in report["runs"]
    }


def _latencies(
    name: str, old: Report, new: Report, allowed: float, *, beside_others: bool
) -> Iterator[Figure]:
    before, after = _processes(old), _processes(new)
    disturbed = [
        f"{when}: {reason}"
        for when, run in (("old", old), ("new", new))
        for reason in run["invalid_reasons"]
    ]
    for percentile in (50, 90, 99):
        ratio, (low, high) = Estimate.of(after, percentile).over(Estimate.of(before, percentile))
        change, interval = ratio - 1, (low - 1, high - 1)
        key = f"p{percentile}"
        figure = Figure(
            subject=name,
            name=f"latency {key}",
            unit="ms",
            old=old["latency_ms"][key],
            new=new["latency_ms"][key],
            change=change,
            interval=interval,
            allowed=allowed,
            verdict=judge(change, interval, allowed),
        )
        if figure.verdict in ("regression", "unclear"):
            if disturbed and not beside_others:
                figure = replace(figure, verdict="unclear", reason="; ".join(disturbed))
            elif percentile == 99 and min(old["count"], new["count"]) < ENOUGH_FOR_P99:
                reason = f"p99 is judged from {ENOUGH_FOR_P99} runs on"
                figure = replace(figure, verdict="unclear", reason=reason)
            elif figure.verdict == "unclear":
                figure = replace(figure, reason="within the noise: profile with more --processes")
        yield figure


def _processes(run: Report) -> list[list[float]]:
    samples = iter(run["samples_ms"])
    return [list(islice(samples, count)) for count in run["process_counts"]]


def _energy(name: str, old: Report, new: Report, allowed: float) -> Iterator[Figure]:
    """Where both were measured with the board's power."""
    if not (old.get("energy") and new.get("energy")):
        return
    before, after = (Energy(**report["energy"]) for report in (old, new))
    ratio, (low, high) = after.over(before)
    change, interval = ratio - 1, (low - 1, high - 1)
    verdict = judge(change, interval, allowed)
    reason = "within the noise: profile for more --seconds" if verdict == "unclear" else ""
    yield Figure(
        *(name, "energy", "mJ", before.mj, after.mj),
        *(change, interval, allowed, verdict, reason),
    )


def _memory(name: str, old: Report, new: Report, allowed: float) -> Iterator[Figure]:
    measured = old["memory_bytes"]["peak"], new["memory_bytes"]["peak"]
    yield _bytes(name, "peak memory", *measured, MEMORY_NOISE, allowed)
    if "artifact_bytes" in old and "artifact_bytes" in new:
        yield _bytes(name, "files", old["artifact_bytes"], new["artifact_bytes"], 0, allowed)
    predicted = old["predicted_bytes"], new["predicted_bytes"]
    if None not in predicted:
        a, b = (part["arena"] for part in predicted)
        yield _bytes(name, "activations", a, b, 0, allowed)


def _bytes(name: str, what: str, old: int, new: int, noise: float, allowed: float) -> Figure:
    change = new / old - 1 if old else float(new > 0)
    interval = (change - noise, change + noise) if noise else None
    verdict = judge(change, interval, allowed)
    reason = "within the noise of repeated runs" if verdict == "unclear" else ""
    return Figure(name, what, "bytes", old, new, change, interval, allowed, verdict, reason)
