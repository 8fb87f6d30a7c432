"""The figures of `benchmarks.accuracy` as Markdown."""

import statistics
from typing import Any

import numpy as np

from benchmarks.latency import THREADS
from benchmarks.ours import OURS, WAYS
from benchmarks.peers import WIDER

RESAMPLES = 2000


def written(networks: list[dict[str, Any]]) -> str:
    """A table for each network, and one of them all in front where there are several."""
    parts = [table(found) for found in networks]
    if len(networks) > 1:
        parts.insert(0, summary(networks))
    return "\n".join(parts)


def summary(networks: list[dict[str, Any]]) -> str:
    """Ours in each engine against the best peer there: a line for each network."""
    engines = list(dict.fromkeys(entry["runtime"] for entry in networks[0]["artifacts"]))
    lines = [
        "| network (float top-1) | " + " | ".join(engines) + " |",
        "|---" * (1 + len(engines)) + "|",
    ]
    for found in networks:
        cells = [_duel(found, engine) for engine in engines]
        lines.append(
            f"| {found['network']} ({found['float_top1']:.1%}) | " + " | ".join(cells) + " |"
        )
    return "\n".join(lines) + "\n"


def table(found: dict[str, Any]) -> str:
    """Every artifact of one network."""
    head = ["engine", "tool", "top-1", "lost, points [95%]", "agreement", "KL", "SQNR, dB"]
    head += ["s", "MB", "memory, MB", *(f"ms, {threads} thr." for threads in THREADS)]
    lines = [
        f"**{found['network']}**: float {found['float_top1']:.1%} of {found['test']} pictures; "
        f"{found['calibration']} others to calibrate with; {found['cpu']}.",
        "",
        "| " + " | ".join(head) + " |",
        "|---|---" + "|---:" * (len(head) - 2) + "|",
    ]
    # The engine's peers below ours, as the ratio is against ours.
    engines = list(dict.fromkeys(entry["runtime"] for entry in found["artifacts"]))
    for entry in sorted(found["artifacts"], key=lambda e: engines.index(e["runtime"])):
        low, high = entry["top1_drop_interval"]
        cells = [
            entry["runtime"],
            entry["tool"],
            f"{entry['top1']:.1%}",
            f"{entry['top1_drop']:.2f} [{low:.2f}, {high:.2f}]",
            f"{entry['agreement_top1']:.1%}",
            f"{max(entry['kl'], 0):.4f}",
            f"{entry['sqnr_db']:.1f}",
            f"{entry['seconds']:.0f}",
            f"{entry['bytes'] / 1e6:.2f}",
            f"{entry['resident_bytes'] / 1e6:.1f}" if "resident_bytes" in entry else "–",
        ]
        for threads in THREADS:
            times = entry.get("latency", {}).get(str(threads))
            cells.append(f"{statistics.median(times):.2f}" if times else "–")
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", *(f"Not measured: {reason}." for reason in found["skipped"])]
    return "\n".join(lines) + "\n"


def _duel(found: dict[str, Any], engine: str) -> str:
    here = [entry for entry in found["artifacts"] if entry["runtime"] == engine]
    ours = next(entry for entry in here if entry["tool"] == OURS)
    peers = [entry for entry in here if entry["tool"] not in WAYS | WIDER]
    if not peers:
        return f"lost {ours['top1_drop']:.2f}, KL {ours['kl']:.4f}"
    best = min(peers, key=lambda entry: float(entry["kl"]))
    low, high = _ratio_interval(ours["kl_per_picture"], best["kl_per_picture"])
    said = (
        f"lost {ours['top1_drop']:.2f}, KL {ours['kl']:.4f}: {ours['kl'] / best['kl']:.2f} "
        f"[{low:.2f}, {high:.2f}] of {best['tool']}'s ({best['top1_drop']:.2f})"
    )
    for threads in map(str, THREADS):
        if "latency" in ours:
            fastest = min(peers, key=lambda e: statistics.median(e["latency"][threads]))
            pairs = zip(ours["latency"][threads], fastest["latency"][threads], strict=True)
            ratios = [a / b for a, b in pairs]
            low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
            said += f"; {threads} thr. {middle:.2f} [{low:.2f}, {high:.2f}] of {fastest['tool']}'s"
    return said


def _ratio_interval(ours: list[float], theirs: list[float]) -> tuple[float, float]:
    """95% of the ratio of the means, from a paired bootstrap over the pictures."""
    a, b = np.asarray(ours), np.asarray(theirs)
    drawn = np.random.default_rng(0).integers(0, len(a), (RESAMPLES, len(a)))
    low, high = np.quantile(a[drawn].mean(axis=1) / b[drawn].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)
