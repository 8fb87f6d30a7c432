"""What is known of latencies on a board: measured on it, here, or published by others."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from edgecnn import cache, strict_json, zoo
from edgecnn.choosing import analyses
from edgecnn.choosing.here import time_network
from edgecnn.choosing.work import Floats, work_of
from edgecnn.errors import UNREADABLE, DataError
from edgecnn.targets.board.target import Target, detect
from edgecnn.targets.engines import runtimes
from edgecnn.targets.profiling import catalogue

Origin = Literal["measured here", "measured there", "published"]
THIS = "this"
GAUGES = (
    *(("mobilenet_v2", 224), ("resnet18", 128), ("efficientnet_lite0", 128)),
    *(("mobilenet_v3_large", 224), ("googlenet", 128), ("densenet121", 128)),
    *(("resnet50", 128), ("mobilenet_v1", 160), ("efficientnet_b0", 128)),
)
"""Networks that are measured to learn this machine, with the sides of their inputs: as many as
tell the width of an interval."""


@dataclass(frozen=True)
class Observed:
    """A network's latency on a board."""

    architecture: str
    side: int
    engine: str
    precision: str
    threads: int
    ms: float
    work: Floats
    origin: Origin
    interval_ms: tuple[float, float] | None = None
    """95% confidence, where it was measured."""
    peak_bytes: int | None = None
    """Of the process, where it was measured."""
    source: str = ""


@dataclass(frozen=True)
class Place:
    """A board as far as choosing depends on it."""

    name: str
    title: str
    cores: int
    free_bytes: int
    engines: tuple[str, ...]
    observed: tuple[Observed, ...]


def this_machine(profiles: Iterable[Path], progress: Callable[[str], None]) -> Place:
    """This machine; what is not known of it yet is measured now, minutes, and kept.

    Raises `RuntimeUnavailable` where no engine is installed, and `DataError` for a file that is no
    profile.
    """
    board = detect()
    engines = catalogue.engines(board.name)
    measured = _gauged(board, engines, progress)
    return Place(
        name=THIS,
        title=f"this machine ({board.cpu})",
        cores=board.threads,
        free_bytes=psutil.virtual_memory().available,
        engines=engines,
        observed=(*measured, *_of_profiles(profiles, "measured here")),
    )


def known_board(name: str, profiles: Iterable[Path]) -> Place:
    """A board of the catalogue, with what is published and what `profiles` measured on it.

    Raises `UnknownName`, and what `this_machine` raises.
    """
    board = catalogue.load(name)
    return Place(
        name=name,
        title=board.name,
        cores=board.cores,
        free_bytes=board.free_bytes,
        engines=catalogue.engines(board.kind),
        observed=(*known_rows(board), *_of_profiles(profiles, "measured there")),
    )


def known_rows(board: catalogue.KnownBoard) -> list[Observed]:
    """What is published of a board, with the networks' work."""
    found = []
    for table in catalogue.published(board):
        # Half and single precision ask for the same work; what they take of it is fitted.
        counted = "int8" if table.precision == "int8" else "fp32"
        for name, ms in table.ms.items():
            side = zoo.get(name).input_shape[0]
            work = work_of(analyses.known(name, side, counted))
            found.append(
                Observed(
                    *(name, side, table.engine, table.precision, table.threads, ms, work),
                    "published",
                    source=table.source,
                )
            )
    return found


def _of_profiles(paths: Iterable[Path], origin: Origin) -> list[Observed]:
    found = []
    for path in paths:
        try:
            profile = strict_json.read(path)
            analysis = profile["ram_analysis"]
            side, *_ = analysis["layers"][0]["output_shape"]
            work = work_of(analysis)
            for run in profile["runs"]:
                strict_json.typed(run, runtime=str, precision=str, threads=int)
                low, high = map(float, run["latency_interval_ms"]["p50"])
                found.append(
                    Observed(
                        architecture=str(analysis["architecture"]),
                        side=int(side),
                        engine=run["runtime"],
                        precision=run["precision"],
                        threads=run["threads"],
                        ms=float(run["latency_ms"]["p50"]),
                        work=work,
                        origin=origin,
                        interval_ms=(low, high),
                        peak_bytes=int(run["memory_bytes"]["peak"]),
                        source=str(path),
                    )
                )
        except UNREADABLE as error:
            raise DataError(
                f"{path} ({error!r}) is not what `edgecnn profile BUNDLE --json` of this version "
                "prints: export the bundle again, and profile that."
            ) from None
    return found


def _gauged(
    board: Target, engines: tuple[str, ...], progress: Callable[[str], None]
) -> list[Observed]:
    """The gauges' latencies on this machine, from the cache or measured now."""
    threads = sorted({1, board.threads})
    key = {
        "cpu": board.cpu,
        "cores": board.threads,
        "engines": [runtimes.get(name).engine() for name in engines],
        "gauges": [list(gauge) for gauge in GAUGES],
    }
    kept = cache.read("gauges.json")
    rows: list[dict[str, Any]] = []
    if isinstance(kept, dict) and kept.get("key") == key:
        rows = kept["rows"]
    done = {(row["architecture"], row["side"]) for row in rows}
    for number, (name, side) in enumerate(GAUGES, 1):
        if (name, side) in done:
            continue
        progress(f"measuring this machine, once: {name}, {number} of {len(GAUGES)}")
        timed = time_network(name, side, engines, analyses.PRECISIONS, threads)
        rows += [{"architecture": name, "side": side, **asdict(one)} for one in timed]
        cache.write("gauges.json", {"key": key, "rows": rows})
    return [observed(row) for row in rows]


def observed(row: dict[str, Any]) -> Observed:
    """A row as `time_network` measured it here, with its network."""
    analysis = analyses.known(row["architecture"], row["side"], row["precision"])
    return Observed(
        *(row["architecture"], row["side"], row["runtime"], row["precision"], row["threads"]),
        *(row["ms"], work_of(analysis), "measured here"),
    )
