"""Kept frames from boards, over SSH: each once, and where it stopped it goes on."""

import hashlib
import logging
import shlex
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgecnn import inbox
from edgecnn.collection import Collection
from edgecnn.errors import DeployError, EdgeCnnError
from edgecnn.inbox import FRAMES, LINES, Kept
from edgecnn.targets.deploy.boards import on_each
from edgecnn.targets.deploy.progress import DeployProgress
from edgecnn.targets.deploy.ssh import Connection, last_lines

log = logging.getLogger(__name__)
COLLECTED = "~/.local/share/edgecnn/collected"
"""Where a service that was given `--collect collected` keeps its frames: see `deploy`."""
LARGEST = 256 << 20
"""Bytes of a picture, more than any camera's."""
ROUNDS = 2


@dataclass(frozen=True)
class Pulled:
    """What came from one board."""

    host: str
    reason: str | None = None
    """Why it failed; None: it did not. What had come by then stays."""
    new_frames: int = 0
    known_frames: int = 0
    """That the inbox had before."""
    pulled_bytes: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether all came."""
        return self.reason is None

    def to_json(self) -> dict[str, Any]:
        """As in `edgecnn pull --json`."""
        return {"ok": self.ok, **asdict(self)}


def pull(
    hosts: str | Sequence[str],
    out: Path | str,
    *,
    collected: str = COLLECTED,
    progress: DeployProgress | None = None,
) -> list[Pulled]:
    """Bring the frames that boards (`USER@HOST`) kept into the inbox `out`.

    `collected` is the folder on each board. Frames that the inbox has are not sent, nothing is
    changed on a board, and what goes wrong with one stops no other. Raises `EdgeCnnError` for an
    inbox that cannot be written.
    """
    shown = progress or DeployProgress()
    with Collection(Path(out)) as collection:

        def bring(connection: Connection) -> Pulled:
            return _bring(connection, collected, collection, shown)

        found = on_each(hosts, bring, Pulled)
    return [replace(one, seconds=seconds) for one, seconds in found]


def _bring(
    connection: Connection, collected: str, collection: Collection, progress: DeployProgress
) -> Pulled:
    before = new = size = 0
    for turn in range(ROUNDS + 1):
        # Looked at anew: a board that has no room left lets go of its oldest frames.
        there = _list(connection, collected)
        missing = {kept.file: kept for kept in there if not collection.has(kept)}
        if turn == 0:
            before = len(there) - len(missing)
            progress.step(connection.host, f"{len(there)} frames, {len(missing)} of them new")
        if not missing:
            return Pulled(connection.host, None, new, before, size)
        if turn < ROUNDS:
            came = _fetch(connection, collected, missing, collection)
            new, size = new + came[0], size + came[1]
    raise DeployError(
        f"{len(missing)} pictures did not come whole, the first {collected}/{min(missing)}: its "
        "disk may be failing"
    )


def _list(connection: Connection, collected: str) -> list[Kept]:
    with connection.output(f"cd {_path(collected)} && cat {LINES}", b"") as stream:
        data = stream.read()
    if not data:
        asked = f"cd {_path(collected)} && ls {LINES}"
        done = connection.run(asked)
        if done.returncode:
            raise DeployError(
                f"it has no frames in {collected} ({last_lines(done.stderr)}): say with "
                "--collected where it keeps them"
            )
    try:
        found = inbox.parse(data)
    except ValueError as error:
        raise DeployError(f"its {collected}/{LINES}, {error}") from None
    # What somebody took away there, or a cut left without a picture.
    names = set(connection.run(f"cd {_path(collected)} && ls {FRAMES}").stdout.split("\n"))
    return [kept for kept in found if Path(kept.file).name in names]


def _fetch(
    connection: Connection, collected: str, missing: Mapping[str, Kept], collection: Collection
) -> tuple[int, int]:
    """Bring these into the collection as far as they come whole: how many, of how many bytes."""
    names, count, size = "\n".join(missing) + "\n", 0, 0
    command = f"cd {_path(collected)} && tar -cf - -T -"
    with connection.output(command, names.encode()) as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    kept, packed = missing.get(member.name), archive.extractfile(member)
                    if kept is None or packed is None or member.size > LARGEST:
                        continue
                    picture = packed.read()
                    if hashlib.sha256(picture).hexdigest() != kept.sha256:
                        continue
                    _add(collection, picture, kept, connection.host)
                    count, size = count + 1, size + len(picture)
        except tarfile.TarError as error:
            # It ended early: a connection that broke is told when the block is left.
            log.debug("edgecnn: %s: %s", connection.host, error)
    return count, size


def _add(collection: Collection, picture: bytes, kept: Kept, host: str) -> None:
    said = {name: value for name, value in vars(kept).items() if name not in ("file", "sha256")}
    try:
        collection.add(picture, Path(kept.file).suffix, **said | {"board": host})
    except OSError as error:
        raise EdgeCnnError(f"Cannot write {collection.folder}: {error.strerror}.") from None


def _path(folder: str) -> str:
    """A folder as the board's shell takes it; a relative one begins at home."""
    if folder.startswith("/"):
        return shlex.quote(folder)
    return f'"$HOME"/{shlex.quote(folder.removeprefix("~").removeprefix("/"))}'
