"""Which engine runs a bundle on this board, and with how many threads: the one that was fastest.

Tried once (see `edgecnn.targets.engines.trial`) and kept in the user's cache folder for this board,
these versions of the engines and these model files; `edgecnn profile` brings it up to date.
"""

import hashlib
import json
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from edgecnn import cache
from edgecnn.bundle import Bundle
from edgecnn.errors import EdgeCnnError
from edgecnn.targets.board.target import Target
from edgecnn.targets.engines import runtimes
from edgecnn.targets.engines.trial import Tried, try_out

log = logging.getLogger(__name__)


def choose(
    bundle: Bundle, board: Target, threads: int | None = None, *, self_check: bool = True
) -> Tried | None:
    """The fastest of the engines that are here, with `threads` or else with one or all cores.

    Looked up, or tried out now (seconds to a minute, told on the log). None where fewer than two
    engines can run the bundle, or all fail: there is nothing to choose.
    """
    usable = usable_engines(bundle, board)
    if len(usable) < 2:
        return None
    counts = (threads,) if threads else tuple(sorted({1, board.threads}))
    known = _read(_key(bundle, board, usable))
    tried = [one for one in known.tried if one.threads in counts and one.runtime in usable]
    # A profile knows some numbers of threads only: the others may be faster.
    if not set(counts) <= known.counts:
        tried = try_out(bundle, board, usable, counts, self_check=self_check)
        try:
            keep(bundle, board, tried, counts)
        except EdgeCnnError as error:
            log.warning("edgecnn: every start will try them again: %s", error)
    return min(tried, key=lambda one: one.p90_ms, default=None)


def keep(bundle: Bundle, board: Target, tried: Iterable[Tried], counts: Iterable[int] = ()) -> None:
    """Remember what was measured, beside what is known of other numbers of threads.

    `counts` are the numbers of threads with which all engines were tried, failing ones included.
    Raises `EdgeCnnError` where the cache cannot be written.
    """
    key = _key(bundle, board, usable_engines(bundle, board))
    known = _read(key)
    merged = {(one.runtime, one.threads): one for one in (*known.tried, *tried)}
    entry = {
        "tried": [asdict(one) for one in merged.values()],
        "counts": sorted({*known.counts, *counts}),
    }
    cache.write(_name(key), key | entry)


def usable_engines(bundle: Bundle, board: Target) -> tuple[str, ...]:
    """The board's engines that are installed and whose format the bundle holds, by preference."""
    return tuple(
        name
        for name in board.runtimes
        if runtimes.get(name).format in bundle.artifacts and not runtimes.missing(name)
    )


@dataclass(frozen=True)
class Known:
    """What is kept for a bundle on this board."""

    tried: tuple[Tried, ...] = ()
    counts: frozenset[int] = frozenset()
    """Numbers of threads with which every engine was tried."""


def _read(key: dict[str, Any]) -> Known:
    kept = cache.read(_name(key))
    try:
        tried = tuple(Tried(**one) for one in kept["tried"])
        known = Known(tried, frozenset(kept.get("counts", ())))
        sorted((*known.counts, *(one.threads for one in tried)))
        sorted(one.p90_ms for one in tried)
    except (KeyError, TypeError, AttributeError):
        return Known()  # nothing was kept, or not by this edgecnn: tried anew
    return known


def _key(bundle: Bundle, board: Target, usable: Iterable[str]) -> dict[str, Any]:
    return {
        "board": board.board,
        "cpu": board.cpu,
        "cores": board.threads,
        "engines": [runtimes.get(name).engine() for name in usable],
        "files": sorted(file.sha256 for one in bundle.artifacts.values() for file in one.files),
    }


def _name(key: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    return f"choices/{digest[:16]}.json"
