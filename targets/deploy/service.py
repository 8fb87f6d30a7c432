"""The systemd unit of a board."""

import shlex
from collections.abc import Sequence

from edgecnn.errors import DeployError
from edgecnn.targets.deploy.ssh import Connection, last_lines

UNIT = "edgecnn.service"
FILE = f"/etc/systemd/system/{UNIT}"
AS_ROOT = '[ "$(id -u)" = 0 ] && as_root= || as_root="sudo -n"; '


def read(connection: Connection) -> str | None:
    """The unit that is installed, or None."""
    done = connection.run(f'cat "$(systemctl show -p FragmentPath --value {UNIT})"')
    return done.stdout if done.returncode == 0 else None


def runs(connection: Connection) -> bool:
    """Whether the unit is running."""
    return connection.run(f"systemctl is-active --quiet {UNIT}").returncode == 0


def check_rights(connection: Connection) -> None:
    """Raise `DeployError` where there is no systemd, or no way to root."""
    if connection.run("command -v systemctl").returncode:
        raise DeployError("it has no systemd: leave out --service, and start `edgecnn run` there")
    _do(connection, "$as_root true")


def make(connection: Connection, root: str, arguments: Sequence[str]) -> str:
    """A unit that runs whatever release is current, with these arguments of `edgecnn run`."""
    words = ["current/venv/bin/python", "-m", "edgecnn", "run", f"{root}/current/bundle"]
    command = shlex.join([*words, *arguments, "--print-systemd"])
    done = connection.run(f"cd {shlex.quote(root)} && {command}")
    if done.returncode:
        raise DeployError(f"the unit cannot be made: {last_lines(done.stderr)}")
    return done.stdout


def install(connection: Connection, unit: str) -> None:
    """Write a unit and enable it."""
    _do(
        connection,
        f"printf %s {shlex.quote(unit)} | $as_root tee {FILE} >/dev/null"
        f" && $as_root systemctl daemon-reload && $as_root systemctl enable {UNIT}",
    )


def restart(connection: Connection) -> None:
    """Start what is current now; returns when it has answered its golden pictures.

    The unit is of systemd's `notify` type: raises `DeployError` when the program ends before,
    with its own words.
    """
    try:
        _do(connection, f"$as_root systemctl restart {UNIT}")
    except DeployError as error:
        log = f"$as_root journalctl --unit {UNIT} --lines 20 --output cat"
        said = connection.run(f"{AS_ROOT}{log} | grep ^edgecnn: | tail -n 1").stdout.strip()
        if not said:
            raise
        raise DeployError(f"{UNIT} does not start: {said.removeprefix('edgecnn: ')}") from error


def _do(connection: Connection, command: str) -> None:
    done = connection.run(AS_ROOT + command)
    if done.returncode:
        said = last_lines(done.stderr)
        if "sudo:" in said:
            said = f"it needs root, or sudo without a password ({said})"
        raise DeployError(f"{UNIT}: {said}")
