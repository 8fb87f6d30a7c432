"""A bundle copied to a board and proven there, before anything is switched."""

from collections.abc import Callable
from dataclasses import dataclass

from edgecnn.bundle import SIGNATURE
from edgecnn.errors import DeployError
from edgecnn.targets.deploy.payload import Payload, pack_bundle, pack_wheels
from edgecnn.targets.deploy.progress import DeployProgress
from edgecnn.targets.deploy.remote import RemoteBoard, State
from edgecnn.targets.deploy.shipment import Shipment

VENV_BYTES = 400_000_000
"""What the light installation takes, at most."""
SPARE_BYTES = 10_000_000
"""Left free, for logs and the like."""


@dataclass(frozen=True)
class Staged:
    """A bundle on a board that has passed its check there."""

    board: str
    """The board's name."""
    engine: str
    """What it runs in, with version."""
    root: str
    bundle: str
    """With `venv`, the two names that make a release."""
    venv: str
    sent_bytes: int
    signer: str | None
    """Whose signature the board found good; None where it trusts no keys."""
    replaces: str | None
    """The release that was current meanwhile."""

    def profile(self, board: RemoteBoard, *options: str, columns: int = 80) -> str:
        """What `edgecnn profile` prints there, with these options, on a screen so wide."""
        edgecnn = [f"{self.root}/venvs/{self.venv}/bin/python", "-m", "edgecnn"]
        bundle = f"{self.root}/bundles/{self.bundle}"
        return board.run(["env", f"COLUMNS={columns}", *edgecnn, "profile", bundle, *options])


def stage(board: RemoteBoard, shipment: Shipment, progress: DeployProgress) -> Staged:
    """Install edgecnn on a board, copy the bundle and check it there; done parts are left alone.

    Raises `DeployError`; what is current on the board stays so in any case.
    """
    host = board.host
    progress.step(host, "looking at the board")
    state = board.look()
    usual = shipment.software["usual" if state.windows else "headless"].like(state.venv)
    # With a wheel's OpenCV in front of it, the system's own would not be seen.
    own = usual.system_site_packages and state.gstreamer
    software = shipment.software["own"].like(state.venv) if own else usual
    bundle = pack_bundle(shipment.bundle, software.formats, shipment.folder)
    wheels = None if software.venv in state.venvs else pack_wheels(software.wheels)
    if wheels and not state.makes_venvs:
        raise DeployError(f"its {shipment.python} makes no venvs: sudo apt install python3-venv")
    board.claim(bundle.name, software.venv)
    missing = {payload: board.missing_bytes(payload) for payload in (wheels, bundle) if payload}
    _check_room(state, sum(missing.values()) + (VENV_BYTES if wheels else 0))

    sent = 0

    def count(size: int) -> None:
        nonlocal sent
        sent += size
        progress.advance(host, size)

    if wheels:
        _copy(board, wheels, missing[wheels], progress, count)
        progress.step(host, "installing edgecnn, which takes minutes on a small board")
        # There is no LiteRT wheel for 32 bits.
        extra = ["tflite-runtime"] if state.bits == 32 else []
        board.install(software, wheels.folder, [*software.extras, *extra])
    _copy(board, bundle, missing[bundle], progress, count)
    progress.step(host, "checking hashes, signature and golden pictures there")
    python = f"{state.root}/venvs/{software.venv}/bin/python"
    found = board.check(python, f"{state.root}/{bundle.folder}", shipment.runtime)
    if found["signer"]:
        progress.step(host, f"signed by {found['signer']}")
    elif (shipment.bundle.path / SIGNATURE).is_file():
        progress.step(host, "its signature was not checked: this board trusts no keys yet")
    return Staged(
        board=found["board"],
        engine=found["engine"],
        root=state.root,
        bundle=bundle.name,
        venv=software.venv,
        sent_bytes=sent,
        signer=found["signer"],
        replaces=state.current,
    )


def _check_room(state: State, needed: int) -> None:
    if needed and needed + SPARE_BYTES > state.free_bytes:
        raise DeployError(
            f"its disk has {state.free_bytes / 1e6:.0f} MB free for {state.root}, and "
            f"{(needed + SPARE_BYTES) / 1e6:.0f} MB are needed"
        )


def _copy(
    board: RemoteBoard,
    payload: Payload,
    missing: int,
    progress: DeployProgress,
    count: Callable[[int], None],
) -> None:
    host, total = board.host, payload.bytes
    if not missing:
        progress.step(host, f"{payload.name} is there already")
    elif missing == total:
        progress.step(host, f"copying {payload.name}, {total / 1e6:.1f} MB", missing)
    else:
        doing = f"copying the rest of {payload.name}, {missing / 1e6:.1f} of {total / 1e6:.1f} MB"
        progress.step(host, doing, missing)
    board.send(payload, count)
