"""A connection to a board, by the `ssh` command as the user has configured it.

Keys, ports, jump hosts and aliases come from `~/.ssh/config`; host keys are checked as always;
nobody is asked for a password. One connection carries every command.
"""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Self

from edgecnn.errors import DeployError
from edgecnn.shell import typed

CONNECT_S = 10
SILENT_S, SILENCES = 5, 3
SSH_FAILED = 255
LAST_LINES = 3
BEGIN = "edgecnn begins"
"""Printed before each command: what a user's shell greets with, at every one, ends there."""


class Connection:
    """One open SSH connection; closed by leaving the `with` block, or when this process dies."""

    def __init__(self, host: str) -> None:
        """Connect to `USER@HOST`, or to a name that the user's configuration knows.

        Raises `DeployError` when the board is away, or its key or ours is not accepted.
        """
        ssh = shutil.which("ssh")
        if ssh is None:
            raise DeployError("deploy needs the ssh command: sudo apt install openssh-client")
        self.host = host
        # Short: a socket's address has no more than 107 bytes.
        self._folder = Path(tempfile.mkdtemp(prefix="edgecnn-", dir="/tmp"))
        self._base = [ssh, "-S", str(self._folder / "s"), "-o", "BatchMode=yes"]
        alive = (f"ServerAliveInterval={SILENT_S}", f"ServerAliveCountMax={SILENCES}")
        options = (f"ConnectTimeout={CONNECT_S}", *alive, "ControlPersist=no")
        # Its cat ends when our end of the pipe does, so no master outlives us.
        self._master = subprocess.Popen(
            [
                *(*self._base, "-M", "-T"),
                *(word for option in options for word in ("-o", option)),
                *("--", host, f"echo {BEGIN}; exec cat"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._master.stdout is not None
        if not _begins(self._master.stdout):
            _, said = self._master.communicate()
            self.close()
            raise DeployError(why_not_connected(host, said.decode(errors="replace")))

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a line of the board's shell; its exit code is not judged."""
        done = subprocess.run(
            self._words(_told(command)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
        done.stdout = _own(done.stdout)
        return self._judged(done)

    def feed(
        self, command: str, data: Iterable[bytes], sent: Callable[[int], None]
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with these bytes on its standard input; `sent` gets the size of each."""
        with subprocess.Popen(
            self._words(_told(command)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        ) as process:
            assert process.stdin is not None
            # A command that ends early has said why, which is read below.
            with contextlib.suppress(BrokenPipeError):
                for chunk in data:
                    process.stdin.write(chunk)
                    sent(len(chunk))
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.stdin = None
            out, err = process.communicate()
        done = subprocess.CompletedProcess(
            process.args,
            process.returncode,
            _own(out.decode(errors="replace")),
            err.decode(errors="replace"),
        )
        return self._judged(done)

    @contextlib.contextmanager
    def output(self, command: str, data: bytes) -> Iterator[IO[bytes]]:
        """What a command writes to its standard output, as it comes; `data` is its input.

        Its exit code is not judged.
        """
        with tempfile.TemporaryFile() as given:
            given.write(data)
            given.seek(0)
            with subprocess.Popen(
                self._words(_told(command)),
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            ) as process:
                assert process.stdout is not None
                _begins(process.stdout)
                try:
                    yield process.stdout
                finally:
                    # Whoever read enough does not wait for the rest.
                    process.stdout.close()
                    said = process.stderr.read() if process.stderr else b""
        self._judged(
            subprocess.CompletedProcess(
                process.args, process.returncode, "", said.decode(errors="replace")
            )
        )

    def attach(self, command: str, *, terminal: bool) -> int:
        """Run a command with this process's own input and output; returns its exit code."""
        return subprocess.run(self._words(command, "-t" if terminal else "-T")).returncode

    def hang_up(self) -> None:
        """End every command that is running, from any thread; they raise `DeployError`."""
        self._master.terminate()

    def close(self) -> None:
        """Hang up and tidy up."""
        self.hang_up()
        self._master.communicate()
        shutil.rmtree(self._folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _words(self, command: str, terminal: str = "-T") -> list[str]:
        if self._master.poll() is not None:
            # ssh would open another connection by itself.
            raise broken("")
        return [*self._base, terminal, "--", self.host, command]

    def _judged(self, done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
        # ssh's own code for its own failures.
        if done.returncode == SSH_FAILED:
            raise broken(last_lines(done.stderr))
        return done


def _told(command: str) -> str:
    return f"echo {BEGIN}; {command}"


def _own(printed: str) -> str:
    """What a command printed, without what its shell did before."""
    return printed.partition(f"{BEGIN}\n")[2]


def _begins(stream: IO[bytes]) -> bool:
    """Read up to where a command's own output begins; False where it never does."""
    # A greeting may end without a line's end, such as one that gives a terminal its title.
    return any(line.endswith(f"{BEGIN}\n".encode()) for line in iter(stream.readline, b""))


def broken(said: str) -> DeployError:
    """A connection that ended before its time."""
    reason = f" ({said})" if said else ""
    return DeployError(
        f"the connection broke{reason}: try again, what has arrived is not sent again"
    )


def last_lines(text: str) -> str:
    """The end of what a command said, on one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[-LAST_LINES:])


def why_not_connected(host: str, said: str) -> str:
    """What ssh's words mean, and the way out."""
    if "IDENTIFICATION HAS CHANGED" in said:
        return (
            "its host key is not the one you know: find out why, then remove the old one with "
            "`ssh-keygen -R` and connect once by hand"
        )
    if "Host key verification failed" in said:
        by_hand = typed("ssh", host)
        return f"its host key is not known: run `{by_hand}` once by hand, and compare the key"
    if "Permission denied" in said:
        copy = typed("ssh-copy-id", host)
        return f"it takes none of your keys: `{copy}` (passwords are never asked for)"
    return f"it cannot be reached: {last_lines(said) or 'ssh gives no reason'}"
