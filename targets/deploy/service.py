"""The systemd unit of a board: written once, it runs whatever release is current."""

import getpass
import shlex
from collections.abc import Sequence

from edgecnn.errors import DeployError
from edgecnn.targets.deploy.ssh import Connection, last_lines

UNIT = "edgecnn.service"
FILE = f"/etc/systemd/system/{UNIT}"
AS_ROOT = '[ "$(id -u)" = 0 ] && as_root= || as_root="sudo -n"; '


def is_installed(connection: Connection) -> bool:
    """Whether the board has the unit."""
    return connection.run(f"systemctl cat {UNIT}").returncode == 0


def check_rights(connection: Connection) -> None:
    """Raise `DeployError` where there is no systemd, or no way to root."""
    if connection.run("command -v systemctl").returncode:
        raise DeployError("it has no systemd: leave out --service, and start `edgecnn run` there")
    _do(connection, "$as_root true")


def install(connection: Connection, root: str, arguments: Sequence[str]) -> None:
    """Write and enable a unit that runs the current release with these arguments of `run`."""
    words = ["current/venv/bin/python", "-m", "edgecnn", "run", f"{root}/current/bundle"]
    command = shlex.join([*words, *arguments, "--print-systemd"])
    done = connection.run(f"cd {shlex.quote(root)} && {command}")
    if done.returncode:
        raise DeployError(f"the unit cannot be made: {last_lines(done.stderr)}")
    _do(
        connection,
        f"printf %s {shlex.quote(done.stdout)} | $as_root tee {FILE} >/dev/null"
        f" && $as_root systemctl daemon-reload && $as_root systemctl enable {UNIT}",
    )


def restart(connection: Connection) -> None:
    """Start what is current now; returns when it has answered its golden pictures.

    The unit is of systemd's `notify` type: raises `DeployError` when the program ends before.
    """
    _do(connection, f"$as_root systemctl restart {UNIT}")


def _do(connection: Connection, command: str) -> None:
    done = connection.run(AS_ROOT + command)
    if done.returncode:
        said = last_lines(done.stderr)
        if "sudo:" in said:
            said = f"sudo asks for a password there: allow {_user(connection)} to go without"
        raise DeployError(f"{UNIT}: {said}")


def _user(connection: Connection) -> str:
    return connection.host.rpartition("@")[0] or getpass.getuser()
