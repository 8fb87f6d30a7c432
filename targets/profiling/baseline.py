"""What an engine takes of memory on this machine: measured once, and kept.

Two probes run, each in a fresh process as a profile's run does: the small one's peak is the
engine's baseline, and what the deep one takes more, less its own weights and activations, is
shared out over its operators. The result lies in the user's cache folder with what it depends
on; another engine version, Python or machine is measured anew.
"""

import platform
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata

from edgecnn import __version__, cache
from edgecnn.targets.board.target import Target
from edgecnn.targets.engines import probe, runtimes
from edgecnn.targets.engines.memory_model import EngineBaseline, NetworkMemory
from edgecnn.targets.profiling.measuring import measure

FILE = "baselines.json"
RUNS = 20


def baseline(runtime: str, threads: int, target: Target) -> EngineBaseline:
    """The engine's baseline with that many threads, from the cache or measured now (seconds)."""
    provenance = _provenance(runtime, threads, target)
    known = _read()
    for entry in known:
        if {**entry.provenance, "measured_at": ""} == provenance:
            return entry
    measured = _measure(runtime, threads, target, provenance)
    kept = [one for one in known if {**one.provenance, "measured_at": ""} != provenance]
    cache.write(FILE, [asdict(one) for one in (*kept, measured)])
    return measured


def _read() -> list[EngineBaseline]:
    try:
        return [EngineBaseline(**entry) for entry in cache.read(FILE)]
    except TypeError:
        return []  # nothing was kept, or not by this edgecnn: measured anew


def _provenance(runtime: str, threads: int, target: Target) -> dict[str, str]:
    return {
        "engine": runtimes.get(runtime).engine(),
        "threads": str(threads),
        "board": target.board,
        "cpu": target.cpu,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "environment": sys.prefix,
        "numpy": metadata.version("numpy"),
        "edgecnn": __version__,
        "measured_at": "",
    }


def _measure(
    runtime: str, threads: int, target: Target, provenance: dict[str, str]
) -> EngineBaseline:
    engine = runtimes.get(runtime)
    peaks, networks = [], []
    for name in ("colours", "deep"):
        bundle = probe.bundle(name)
        network = NetworkMemory.of(bundle, engine.format)
        assert network is not None, "the probes are shipped with their RAM analysis"
        networks.append(network)
        found = measure(bundle.path, runtime, threads, runs=RUNS, seconds=0, target=target.name)
        peaks.append(found["memory"]["final"]["peak"])
    small, deep = networks
    own = [engine.weights_bytes(n) + engine.scratch_bytes(n) + n.arena_bytes for n in (small, deep)]
    further = (peaks[1] - own[1]) - (peaks[0] - own[0])
    return EngineBaseline(
        peak_bytes=peaks[0] - own[0],
        operators=small.operators,
        operator_bytes=max(0, further // (deep.operators - small.operators)),
        provenance=provenance | {"measured_at": datetime.now(UTC).isoformat(timespec="seconds")},
    )
