"""What can be asked of a board over a connection."""

import inspect
import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from edgecnn import strict_json
from edgecnn.errors import DeployError
from edgecnn.targets.deploy import on_board
from edgecnn.targets.deploy.payload import Item, Payload
from edgecnn.targets.deploy.software import Software
from edgecnn.targets.deploy.ssh import Connection, last_lines

Record = TypeVar("Record")
CHUNK = 1 << 16
NOT_FOUND = (126, 127)
"""A shell's exit codes for a command it cannot run."""


@dataclass(frozen=True)
class State:
    """What a board is and has."""

    root: str
    """The folder of all deployments, absolute."""
    bits: int
    """Of its programs: 64 or 32."""
    free_bytes: int
    """Of its disk."""
    available_bytes: int | None
    """Of its memory; None where its kernel does not tell."""
    makes_venvs: bool
    windows: bool
    """Whether an OpenCV with windows loads."""
    gstreamer: bool
    """Whether the system has an OpenCV of its own that opens GStreamer's pipelines, and a numpy for
    both."""
    venvs: list[str]
    """Installations that are whole."""
    venv: str | None
    """That of the current release."""
    current: str | None
    previous: str | None


@dataclass(frozen=True)
class Release:
    """The names of the current release on a board and of the one before."""

    current: str
    previous: str | None


@dataclass(frozen=True)
class Placed:
    """The names of files that arrived with other bytes."""

    damaged: list[str]


class RemoteBoard:
    """A board's own Python at the other end of a connection.

    Every method raises `DeployError` with the board's reason.
    """

    def __init__(self, connection: Connection, python: str = "python3") -> None:
        self.connection = connection
        self._python = shlex.quote(python)
        self._program = shlex.quote(inspect.getsource(on_board))
        asked = f"{self._python} -c 'import sys; print(*sys.version_info[:2])'"
        done = connection.run(asked)
        if done.returncode in NOT_FOUND:
            raise DeployError(
                f"it has no {python}: sudo apt install python3 python3-venv, or name another with "
                "--python"
            )
        try:
            major, minor = map(int, done.stdout.splitlines()[-1].split())
        except (ValueError, IndexError):
            raise DeployError(f"its {python} does not run: {last_lines(done.stderr)}") from None
        if (major, minor) < (3, 11):
            raise DeployError(
                f"its {python} is {major}.{minor}, and edgecnn needs 3.11 or newer: install one "
                "and name it with --python"
            )

    @property
    def host(self) -> str:
        """How the user calls it."""
        return self.connection.host

    def look(self) -> State:
        """The board's state."""
        return _record(State, self._ask("look"))

    def claim(self, bundle: str, venv: str) -> None:
        """Keep other deployments from clearing away what is brought, until `switch`."""
        self._ask("claim", bundle=bundle, venv=venv)

    def missing_bytes(self, payload: Payload) -> int:
        """What has yet to be sent."""
        missing = self._missing(payload)
        sizes = {item.sha256: item.bytes for item in payload.items}
        return sum(sizes[sha256] - there for sha256, there in missing.items())

    def send(self, payload: Payload, sent: Callable[[int], None]) -> None:
        """Bring a payload's files into its folder, going on where an earlier copy stopped.

        `sent` is told the size of each piece. Files that arrive with other bytes are sent once
        more.
        """
        items = [item.to_json() for item in payload.items]
        damaged: list[str] = []
        for _ in range(2):
            missing = self._missing(payload)
            for item in {item.sha256: item for item in payload.items}.values():
                there = missing.get(item.sha256)
                if there is not None and (there < item.bytes or item.bytes == 0):
                    self._send(item, there, sent)
            placed = self._ask("place", folder=payload.folder, files=items)
            damaged = _record(Placed, placed).damaged
            if not damaged:
                return
        raise DeployError(
            f"{', '.join(damaged)} arrived damaged twice: its disk or memory may be failing"
        )

    def install(self, software: Software, wheels: str, extras: Sequence[str]) -> None:
        """Make the venv; needs the wheels in that folder."""
        self._ask(
            "install",
            venv=software.venv,
            wheels=wheels,
            wheel=software.wheel.name,
            extras=list(extras),
            offline=bool(software.carried),
            system_site_packages=software.system_site_packages,
        )

    def switch(
        self, bundle: str, venv: str, *, downgrade: bool = False, said: Mapping[str, Any]
    ) -> Release:
        """Make a bundle with an installation the current release, in one step.

        One that was made before the current bundle is refused, unless `downgrade` asks for it. What
        is `said` stands in the board's history.
        """
        how = {"downgrade": downgrade, "said": dict(said)}
        return _record(Release, self._ask("switch", bundle=bundle, venv=venv, **how))

    def rollback(self, said: Mapping[str, Any]) -> Release:
        """Make the previous release the current one, in one step."""
        return _record(Release, self._ask("rollback", said=dict(said)))

    def history(self) -> list[dict[str, Any]]:
        """What was switched to, the oldest first."""
        found = self._ask("history").get("changes")
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise DeployError(f"its Python printed {found!a:.200}")
        return found

    def check(self, python: str, bundle_path: str, runtime: str) -> dict[str, Any]:
        """Have an installation there open a bundle: hashes and golden vectors must be right."""
        check = "edgecnn.targets.deploy.check"
        return _object(self.run([python, "-m", check, bundle_path, runtime]))

    def run(self, words: Sequence[str]) -> str:
        """Run a command there; returns what it prints."""
        done = self.connection.run(shlex.join(words))
        if done.returncode:
            raise DeployError(last_lines(done.stderr).removeprefix("edgecnn: "))
        return done.stdout

    def _missing(self, payload: Payload) -> dict[str, int]:
        files = [item.to_json() for item in payload.items]
        missing = self._ask("missing", folder=payload.folder, files=files)
        known = {item.sha256 for item in payload.items}
        if missing.keys() - known or not all(type(there) is int for there in missing.values()):
            raise DeployError(f"its Python printed {missing!a:.200}")
        return missing

    def _send(self, item: Item, offset: int, sent: Callable[[int], None]) -> None:
        command = self._command("receive", sha256=item.sha256, offset=offset)
        _answer(self.connection.feed(command, _chunks(item.local, offset), sent))

    def _ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return _answer(self.connection.run(self._command(operation, **arguments)))

    def _command(self, operation: str, **arguments: Any) -> str:
        words = shlex.quote(json.dumps(arguments))
        return f"{self._python} -c {self._program} {operation} {words}"


def _chunks(path: Path, offset: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(offset)
        while chunk := stream.read(CHUNK):
            yield chunk


def _answer(done: Any) -> dict[str, Any]:
    try:
        answer = _object(done.stdout)
    except DeployError:
        if done.returncode:
            raise DeployError(f"its Python failed: {last_lines(done.stderr)}") from None
        raise
    if "error" in answer:
        raise DeployError(str(answer["error"]))
    return answer


def _object(printed: str) -> dict[str, Any]:
    """The last line; engines may print before it."""
    line = (printed.splitlines() or [""])[-1]
    try:
        found = strict_json.parse(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise DeployError(f"its Python printed {line!a:.200}")
    return found


def _record(kind: type[Record], answer: dict[str, Any]) -> Record:
    try:
        return kind(**answer)
    except TypeError:
        raise DeployError(f"its Python printed {answer!a:.200}") from None
