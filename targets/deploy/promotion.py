"""`deploy --if-better`: a candidate that is proven on a board takes over only if it is better."""

import shlex
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecnn import strict_json
from edgecnn.bundle import Bundle
from edgecnn.comparison import profiles
from edgecnn.comparison.figure import Figure, Limits
from edgecnn.errors import BundleError, DataError, DeployError
from edgecnn.targets.deploy import service
from edgecnn.targets.deploy.evidence import Evidence, ask
from edgecnn.targets.deploy.judging import Judgement, Room, judge
from edgecnn.targets.deploy.progress import DeployProgress
from edgecnn.targets.deploy.remote import RemoteBoard
from edgecnn.targets.deploy.staging import Staged

LIMITS = Limits(latency=0.1, memory=0.1)
"""How much slower and larger a candidate may be on the board."""
OPTIONS = ("--json", "--processes", "2")


def weigh(
    board: RemoteBoard,
    staged: Staged,
    candidate: Bundle,
    evidence: Evidence,
    progress: DeployProgress,
) -> Judgement:
    """Judge a staged bundle against the one that is current on the board.

    That one is brought here, to look at the same pictures in the same engine; latency and memory
    of both are measured there. Raises `DeployError` where there is nothing to compare with.
    """
    host = board.host
    if staged.replaces is None:
        raise DeployError("it runs nothing yet to be better than: deploy without --if-better")
    with tempfile.TemporaryDirectory(prefix="edgecnn-") as folder:
        progress.step(host, "bringing its current bundle here, to compare")
        present = fetch(board, f"{staged.root}/current/bundle", Path(folder) / "present")
        old = Bundle.load(present)
        if old.version == candidate.version:
            raise DeployError("this very bundle is current there")
        progress.step(host, "looking at the pictures with both networks")
        answered = ask(present, candidate.path, evidence)
        lost = tuple(label for label in old.labels if label not in candidate.labels)
        progress.step(host, "measuring both there")
        measured = _measured(board, staged)
        return judge(
            answered.sets,
            evidence.bounds,
            settled=answered.settled,
            figures=measured.figures,
            room=measured.room,
            lost_labels=lost,
            notes=(*answered.notes, *measured.notes),
        )


def fetch(board: RemoteBoard, there: str, here: Path) -> Path:
    """Copy a bundle from a board; raises `DeployError` for one that is not whole there."""
    command = f"tar -C {shlex.quote(there)} -chf - ."
    try:
        with (
            board.connection.output(command, b"") as stream,
            tarfile.open(fileobj=stream, mode="r|") as archive,
        ):
            archive.extractall(here, filter="data")
        Bundle.load(here)
    except (tarfile.TarError, BundleError, OSError) as error:
        said = str(error).replace(f"{here}/", "")
        raise DeployError(
            f"its current bundle is not whole there ({said}): deploy without --if-better"
        ) from None
    return here


@dataclass(frozen=True)
class Measured:
    """What both cost on a board."""

    figures: tuple[Figure, ...]
    room: Room | None
    notes: tuple[str, ...]


def _measured(board: RemoteBoard, staged: Staged) -> Measured:
    """Both on the board, one after the other, by its own installations of edgecnn.

    A board that grows warm slows down whoever is second: what got worse is measured once more, the
    new one first, and counts only where it is worse again. What else runs there, the current one
    first of all, disturbs both alike. Raises `DeployError` where no engine there runs both.
    """
    available, serves = board.look().available_bytes, service.runs(board.connection)
    reports = _profiles(board, staged)
    figures, notes = _compared(*reports)
    if any(figure.verdict == "regression" for figure in figures):
        again = {
            (one.subject, one.name): one
            for one in _compared(*_profiles(board, staged, new_first=True))[0]
        }
        figures = [
            again.get((one.subject, one.name), one) if one.verdict == "regression" else one
            for one in figures
        ]
    old, new = map(_peak_bytes, reports)
    room = None if available is None else Room(new, available + (old if serves else 0))
    return Measured(tuple(figures), room, tuple(notes))


def _profiles(board: RemoteBoard, staged: Staged, *, new_first: bool = False) -> tuple[Any, Any]:
    """The reports of profiling the old and the new bundle there."""
    current = f"{staged.root}/current"
    words = [f"{current}/venv/bin/python", "-m", "edgecnn", "profile", f"{current}/bundle"]
    if new_first:
        new = staged.profile(board, *OPTIONS)
        old = board.run([*words, *OPTIONS])
    else:
        old = board.run([*words, *OPTIONS])
        new = staged.profile(board, *OPTIONS)
    try:
        return strict_json.parse(old), strict_json.parse(new)
    except ValueError as error:
        raise DeployError(f"its profile is not readable: {error!r}") from None


def _compared(old: Any, new: Any) -> tuple[list[Figure], list[str]]:
    try:
        return profiles.figures(old, new, LIMITS, beside_others=True)
    except DataError as error:
        raise DeployError(f"latency and memory there cannot be compared: {error}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise DeployError(f"its profile is not readable: {error!r}") from None


def _peak_bytes(report: Any) -> int:
    """Of the engine that is the fastest there."""
    best = report["best"]
    return next(
        int(run["memory_bytes"]["peak"])
        for run in report["runs"]
        if (run["runtime"], run["threads"]) == (best["runtime"], best["threads"])
    )
