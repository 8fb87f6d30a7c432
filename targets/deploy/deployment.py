"""Bundles to boards: all at once, each with its own outcome."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgecnn.errors import DeployError
from edgecnn.targets.deploy import service
from edgecnn.targets.deploy.boards import on_each
from edgecnn.targets.deploy.evidence import Evidence
from edgecnn.targets.deploy.progress import DeployProgress
from edgecnn.targets.deploy.promotion import weigh
from edgecnn.targets.deploy.remote import Release, RemoteBoard
from edgecnn.targets.deploy.shipment import Installation, packed
from edgecnn.targets.deploy.staging import Staged, stage
from edgecnn.targets.engines import runtimes


@dataclass(frozen=True)
class Outcome:
    """How it went on one board."""

    host: str
    reason: str | None = None
    """Why it failed; None: it did not."""
    board: str | None = None
    """The board's name."""
    engine: str | None = None
    current: str | None = None
    """The release that is current now, where that is known."""
    previous: str | None = None
    signer: str | None = None
    """Whose signature the board found good; None where it trusts no keys."""
    sent_bytes: int = 0
    seconds: float = 0.0
    profile: str | None = None
    """The file here that holds the report."""
    judgement: dict[str, Any] | None = None
    """Where only a better bundle was to be switched to: `Judgement.to_json`."""

    @property
    def ok(self) -> bool:
        """Whether all was done."""
        return self.reason is None

    def to_json(self) -> dict[str, Any]:
        """As in `edgecnn deploy --json`."""
        return {"ok": self.ok, **asdict(self)}


def deploy(
    bundle_dir: Path | str,
    hosts: str | Sequence[str],
    *,
    installation: Installation | None = None,
    runtime: str = "auto",
    run: Sequence[str] | None = None,
    profile: Path | None = None,
    downgrade: bool = False,
    if_better: Evidence | None = None,
    said: Mapping[str, Any] | None = None,
    progress: DeployProgress | None = None,
) -> list[Outcome]:
    """Bring a bundle to boards (`USER@HOST`); what fails on one stops no other.

    On each the bundle is copied, checked in `runtime` and switched to: the one before stays
    current until the new one has passed. With `run`, arguments of `edgecnn run`, a systemd unit is
    installed; a unit that is there is restarted, and if the new release does not come up, what ran
    before runs again. With `profile`, each board's report is written into that folder. A board
    that trusts any keys takes only what they signed, and none goes back to a bundle made before its
    current one, unless `downgrade` asks for it. With `if_better` a board only switches to a bundle
    that this evidence shows to be better than its current one: see
    `edgecnn.targets.deploy.judging`.
    What is `said` stands in the board's history. Raises
    `BundleError` for a bundle that is not whole, `UnknownName` for a runtime or an extra that there
    is not; what goes wrong on a board stands in its outcome.
    """
    shown = progress or DeployProgress()
    runtime = runtimes.canonical(runtime, "auto")

    def deliver(board: RemoteBoard) -> Outcome:
        staged = stage(board, shipment, shown)
        judgement = None
        if if_better is not None:
            judgement = weigh(board, staged, shipment.bundle, if_better, shown)
            if not judgement.better:
                reason = f"not promoted: {'; '.join(judgement.missing)}"
                outcome = Outcome(board.host, reason, current=staged.replaces)
                return replace(outcome, judgement=judgement.to_json())
        judged = {} if judgement is None else {"judged": judgement.brief}
        release = _switch(board, staged, run, shown, downgrade, {**(said or {}), **judged})
        report = None
        if profile:
            shown.step(board.host, "profiling")
            report = profile / f"{shipment.bundle.name}-{board.host.replace('/', '_')}.json"
            profile.mkdir(parents=True, exist_ok=True)
            report.write_text(staged.profile(board, "--json"), encoding="utf-8")
        return Outcome(
            board.host,
            board=staged.board,
            engine=staged.engine,
            current=release.current,
            previous=release.previous,
            signer=staged.signer,
            sent_bytes=staged.sent_bytes,
            profile=str(report) if report else None,
            judgement=judgement.to_json() if judgement else None,
        )

    with packed(bundle_dir, installation, runtime) as shipment:
        return _on_each(hosts, shipment.python, deliver)


def rollback(
    hosts: str | Sequence[str],
    *,
    python: str = "python3",
    said: Mapping[str, Any] | None = None,
    progress: DeployProgress | None = None,
) -> list[Outcome]:
    """Make the previous release current again on each board; a unit that is there is restarted."""
    shown = progress or DeployProgress()

    def go_back(board: RemoteBoard) -> Outcome:
        release = board.rollback(said or {})
        shown.step(board.host, f"current is {release.current}")
        if service.read(board.connection) is not None:
            shown.step(board.host, "restarting the service")
            service.restart(board.connection)
        return Outcome(board.host, current=release.current, previous=release.previous)

    return _on_each(hosts, python, go_back)


def _switch(
    board: RemoteBoard,
    staged: Staged,
    run: Sequence[str] | None,
    progress: DeployProgress,
    downgrade: bool,
    said: Mapping[str, Any],
) -> Release:
    old_unit = service.read(board.connection)
    if run is not None:
        service.check_rights(board.connection)
    release = board.switch(staged.bundle, staged.venv, downgrade=downgrade, said=said)
    progress.step(board.host, f"current is {release.current}")
    if run is None and (old_unit is None or release.current == staged.replaces):
        return release
    try:
        if run is not None:
            progress.step(board.host, "installing the service")
            unit = service.make(board.connection, staged.root, run)
            service.install(board.connection, unit)
        progress.step(board.host, "restarting the service")
        service.restart(board.connection)
    except DeployError as error:
        if staged.replaces and staged.replaces != release.current:
            board.rollback({"because": str(error)})
        if old_unit is None:
            raise
        raise DeployError(f"{error}; {_restored(board, old_unit)}") from None
    return release


def _restored(board: RemoteBoard, unit: str) -> str:
    """Run again what ran before; says whether it does."""
    try:
        service.install(board.connection, unit)
        service.restart(board.connection)
    except DeployError as error:
        return f"and what ran before does not either: {error}"
    return "what ran before runs again"


def _on_each(
    hosts: str | Sequence[str], python: str, act: Callable[[RemoteBoard], Outcome]
) -> list[Outcome]:
    found = on_each(hosts, lambda connection: act(RemoteBoard(connection, python)), Outcome)
    return [replace(outcome, seconds=seconds) for outcome, seconds in found]
