"""From a board and limits to the networks worth having on it."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgecnn import binomial, zoo
from edgecnn.analysis import analyze
from edgecnn.checkpoint import Checkpoint
from edgecnn.choosing import analyses
from edgecnn.choosing.boards import THIS, Observed, Place, known_board, this_machine
from edgecnn.choosing.front import Candidate, Figure, Limits, front, nearest
from edgecnn.choosing.latency import Model, Reference, model_of
from edgecnn.choosing.work import work_of
from edgecnn.errors import CheckFailed, DataError, EdgeCnnError
from edgecnn.targets.board.target import detect
from edgecnn.targets.engines import runtimes
from edgecnn.targets.engines.memory_model import EngineBaseline, NetworkMemory
from edgecnn.targets.live.frame_memory import frame_bytes
from edgecnn.targets.profiling.baseline import baseline
from edgecnn.targets.profiling.profiler import predict

Setting = tuple[str, str, int]
"""Engine, precision and threads."""


@dataclass(frozen=True)
class Choice:
    """What came of it."""

    board: str
    limits: Limits
    front: tuple[Candidate, ...]
    """Those within the limits that nothing beats."""
    considered: int
    fitting: int
    """Within the limits, the front included."""
    unknown: int
    """Within the other limits, and nobody published how often they are right."""
    notes: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    """All within the limits, for pictures."""

    def to_json(self) -> dict[str, Any]:
        """As `edgecnn choose --json` prints it."""
        return {
            "board": self.board,
            "limits": vars(self.limits),
            "considered": self.considered,
            "fitting": self.fitting,
            "accuracy_unknown": self.unknown,
            "front": [one.to_json() | {"surely": self.limits.surely(one)} for one in self.front],
            "notes": list(self.notes),
        }


class Board:
    """Latency and memory of networks on a board: known once for each engine, asked for many."""

    def __init__(self, place: Place, progress: Callable[[str], None]) -> None:
        self.place, self.reference = place, Reference.load()
        self._measured = {
            (one.architecture, one.side, one.engine, one.precision, one.threads): one
            for one in place.observed
            if one.interval_ms is not None
        }
        self.models: dict[Setting, Model] = {}
        self._baselines: dict[tuple[str, int], EngineBaseline] = {}
        here = detect()
        counts = sorted({one.threads for one in place.observed if one.threads <= place.cores})
        for engine in place.engines:
            for threads in counts:
                for precision in analyses.PRECISIONS:
                    found = model_of(place.observed, engine, precision, threads, self.reference)
                    if found is not None:
                        self.models[engine, precision, threads] = found
                if any((engine, p, threads) in self.models for p in analyses.PRECISIONS):
                    progress(f"what {engine} itself takes of memory")
                    most = min(threads, here.threads)
                    self._baselines[engine, threads] = baseline(engine, most, here)

    def ways(
        self, architecture: str, side: int, analysis: Mapping[str, Any]
    ) -> Iterator[Candidate]:
        """The network of an analysis (its JSON) in every engine and with every thread count."""
        precision = analysis["dtype"]
        work, network = work_of(analysis), NetworkMemory.of_analysis(analysis)
        frames = frame_bytes(analysis["layers"][0]["output_shape"])
        for (engine, wanted, threads), model in self.models.items():
            if wanted != precision:
                continue
            constants = self._baselines[engine, threads]
            bytes_ = predict(runtimes.get(engine), network, constants).peak + frames
            share = self.reference.ram
            ram = Figure(
                *(bytes_, bytes_ * (1 - share), bytes_ * (1 + share), "predicted"),
                "the RAM analysis and the engine's own memory as on this machine",
            )
            latency = Figure(*model.interval(work), "predicted", model.basis)
            seen = self._measured.get((architecture, side, engine, precision, threads))
            if seen is not None:
                latency, ram = _measured(seen, frames)
            yield Candidate(architecture, side, precision, engine, threads, latency, ram)


def _measured(one: Observed, frames: int) -> tuple[Figure, Figure]:
    assert one.interval_ms is not None
    assert one.peak_bytes is not None
    assert one.origin != "published"
    peak = one.peak_bytes + frames
    return (
        Figure(one.ms, *one.interval_ms, one.origin, one.source),
        Figure(peak, peak, peak, one.origin, one.source),
    )


def choose(
    board: str = THIS,
    *,
    latency_ms: float | None = None,
    ram_bytes: float | None = None,
    accuracy: float | None = None,
    profiles: Iterable[Path | str] = (),
    runs: Iterable[Path | str] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> Choice:
    """The networks that keep within the limits on a board, and that none beats in everything.

    `board` is a name of the catalogue, or `this` for this machine, which is measured the first
    time (minutes). `profiles` are JSON files of `edgecnn profile` from that very board. `accuracy`
    is a fraction: of ImageNet's pictures as published, or of their own test pictures where `runs`
    are given, finished training runs that are the candidates then. Raises `CheckFailed` where
    nothing keeps within the limits, with the nearest; `UnknownName`, `DataError` and
    `RuntimeUnavailable` for a board, a profile or a run that cannot be used.
    """
    files = [Path(one) for one in profiles]
    place = this_machine(files, progress) if board == THIS else known_board(board, files)
    models = Board(place, progress)
    if not models.models:
        raise EdgeCnnError(
            f"No latency is known of {place.title}. Measure one network there, `edgecnn profile "
            "BUNDLE --json > profile.json`, and add --profile profile.json."
        )
    limits = Limits(latency_ms, min(ram_bytes or math.inf, place.free_bytes), accuracy)
    paths = [Path(one) for one in runs]
    candidates = list(_of_runs(models, paths) if paths else of_zoo(models))
    return judged(place, limits, candidates, _notes(models, bool(paths)))


def of_zoo(board: Board) -> Iterator[Candidate]:
    """Every network with pretrained weights, at every usual input, in every way."""
    for name in zoo.names():
        entry = zoo.get(name)
        if entry.pretrained is None:
            continue
        for side in analyses.sides(name):
            top1 = entry.top1(side)
            right = None
            if top1 is not None:
                low, high = binomial.wilson(top1.share, 50_000)
                basis = f"ImageNet's validation pictures, before int8: {top1.source}"
                right = Figure(top1.share, low, high, "published", basis)
            for precision in analyses.PRECISIONS:
                for one in board.ways(name, side, analyses.known(name, side, precision)):
                    yield replace(one, accuracy=right)


def _of_runs(board: Board, paths: Sequence[Path]) -> Iterator[Candidate]:
    for path in paths:
        run = Checkpoint.load(path)
        right = accuracy_of(run)
        side = run.preprocessing.height
        for precision in analyses.PRECISIONS:
            analysis = analyze(path, dtype=precision).to_json()  # type: ignore[arg-type]
            for one in board.ways(run.architecture, side, analysis):
                yield replace(one, accuracy=right, run=str(path))


def accuracy_of(run: Checkpoint) -> Figure:
    """How often a run's network was right on pictures it was not trained on."""
    for kind in ("test", "val"):
        if kind in run.details:
            found, count = run.details[kind]["top1"], run.details[kind]["count"]
            low, high = binomial.interval(round(found * count), count)
            basis = f"{count:,} {kind} pictures of {run.path.name}, before int8"
            return Figure(found, low, high, "measured here", basis)
    raise DataError(f"{run.path} says nothing of its accuracy: train again.")


def judged(
    place: Place, limits: Limits, candidates: Sequence[Candidate], notes: Sequence[str] = ()
) -> Choice:
    """The front of those within the limits; raises `CheckFailed` where there is none."""
    fitting = [one for one in candidates if not limits.missed(one)]
    known = [one for one in fitting if one.accuracy is not None]
    if not known:
        _refuse(place, limits, [one for one in candidates if one.accuracy is not None])
    return Choice(
        board=place.title,
        limits=limits,
        front=tuple(front(known)),
        considered=len(candidates),
        fitting=len(known),
        unknown=len(fitting) - len(known),
        notes=tuple(notes),
        candidates=tuple(known),
    )


def _refuse(place: Place, limits: Limits, candidates: Sequence[Candidate]) -> None:
    if not candidates:
        raise EdgeCnnError("There is no candidate whose accuracy is known.")
    one, misses = nearest(candidates, limits)
    figures = {
        "latency": f"{one.latency_ms.value:.1f} ms where {limits.latency_ms:g} are allowed"
        if limits.latency_ms is not None
        else "",
        "ram": f"{one.ram_bytes.value / 1e6:.0f} MB where {(limits.ram_bytes or 0) / 1e6:.0f} are",
        "accuracy": f"{one.accuracy.value:.1%} right where {limits.accuracy:.1%} are asked for"
        if one.accuracy and limits.accuracy
        else "",
    }
    said = ", ".join(f"{figures[name]} ({share:.0%} off)" for name, share in misses.items())
    raise CheckFailed(
        f"Nothing keeps within these limits on {place.title}. The nearest is {one.architecture} at "
        f"{one.side}×{one.side}, {one.precision}, {one.runtime} with {one.threads} thread"
        f"{'s' * (one.threads > 1)}: {said}. Allow more of that, or take a faster board."
    )


def _notes(board: Board, own: bool) -> list[str]:
    """What a reader has to know of the figures."""
    place, notes = board.place, []
    if not own:
        notes.append(
            "Accuracies are published ones on ImageNet, another data set than yours: they order "
            "networks, and say nothing of your pictures. --data DIR or the folders of training "
            "runs do."
        )
    for precision in analyses.PRECISIONS:
        if not any(wanted == precision for _, wanted, _ in board.models):
            notes.append(
                f"{precision} is left out: no latency in {precision} is known of {place.title}. A "
                f"profile of a bundle in {precision} brings it in."
            )
    rough = [model for model in board.models.values() if not model.networks]
    if rough:
        stretch = math.exp(board.reference.half_width(0))
        known = board.reference
        one = math.exp(min(known.half_width(1), known.beside_published))
        notes.append(
            f"Latencies are predicted from others' figures, within a factor of {stretch:.2f} for "
            f"9 networks of 10. One profile of any network there narrows that to {one:.2f}: "
            "`edgecnn profile BUNDLE --target USER@HOST --json > profile.json`, then --profile "
            "profile.json."
        )
    return notes
