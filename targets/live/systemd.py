"""Running under systemd: the unit file, and the messages it waits for (sd_notify)."""

import logging
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edgecnn.errors import EdgeCnnError
from edgecnn.targets.live.urls import has_secret, without_password

if TYPE_CHECKING:
    from socket import socket

log = logging.getLogger(__name__)
WATCHDOG_S = 30
ESCAPES = {
    ord("\\"): "\\\\",
    ord('"'): '\\"',
    ord("\n"): "\\n",
    ord("%"): "%%",
    ord("$"): "$$",
}
UNIT = """\
# edgecnn run --print-systemd ... | sudo tee /etc/systemd/system/edgecnn.service
# sudo systemctl daemon-reload && sudo systemctl enable --now edgecnn
[Unit]
Description=edgecnn: {bundle}
Wants=network-online.target
After=network-online.target
# Restarted for ever: a robot has nobody to type `systemctl reset-failed`.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
WorkingDirectory={folder}
User={user}
SupplementaryGroups=video
# Passwords and tokens: EDGECNN_WEB_TOKEN=..., EDGECNN_MQTT_PASSWORD=..., EDGECNN_SOURCE=...
EnvironmentFile=-/etc/edgecnn.env
# The very first start tries which engine is the fastest, which takes long on a slow board.
TimeoutStartSec=900
Restart=always
RestartSec=2
# No sign of life for this long, an engine that hangs for one: killed and started again.
WatchdogSec={watchdog}
TimeoutStopSec=5
NoNewPrivileges=true
ProtectSystem=full

[Install]
WantedBy=multi-user.target
"""


def unit(arguments: list[str], bundle: str, user: str) -> str:
    """A service that runs `edgecnn run` with these arguments, from this folder and installation.

    Raises `EdgeCnnError` for a password among them.
    """
    for word in arguments:
        if has_secret(word):
            raise EdgeCnnError(
                f"{without_password(word)} has a password, which every user could read in a unit: "
                "write --source env:EDGECNN_SOURCE, and EDGECNN_SOURCE=... with the whole address "
                "into /etc/edgecnn.env, readable by root alone."
            )
    command = [sys.executable, "-m", "edgecnn", "run", *arguments]
    return UNIT.format(
        bundle=bundle.replace("%", "%%"),
        command=" ".join(_quoted(word) for word in command),
        folder=str(Path.cwd()).replace("%", "%%"),
        user=user,
        watchdog=WATCHDOG_S,
    )


def _quoted(word: str) -> str:
    """As systemd reads it: C's escapes between double quotes; % and $ mean something even there."""
    escaped = word.translate(ESCAPES)
    return escaped if re.fullmatch(r"[\w@%+=:,./$-]+", escaped) else f'"{escaped}"'


class Notifier:
    """Tells systemd how it goes; without systemd it does nothing."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET")
        self._socket: socket | None = None
        if address:
            import socket as sockets

            # A leading @ stands for the zero byte of Linux' abstract namespace.
            name = "\0" + address[1:] if address.startswith("@") else address
            kind = sockets.SOCK_DGRAM | sockets.SOCK_CLOEXEC | sockets.SOCK_NONBLOCK
            self._socket = sockets.socket(sockets.AF_UNIX, kind)
            self._address = name
        self._said = False

    def tell(self, **state: str) -> None:
        """Send assignments, as in `tell(READY="1", STATUS="classifying")`."""
        if self._socket is None:
            return
        try:
            # Addressed each time: systemd may be started anew, and its socket with it.
            message = "\n".join(f"{k}={v}" for k, v in state.items()).encode()
            self._socket.sendto(message, self._address)
            self._said = False
        except OSError as error:
            # Whoever is not heard is restarted; a loop that runs is not to end by it.
            if not self._said:
                log.warning("edgecnn: systemd cannot be told how it goes: %s.", error)
            self._said = True

    def close(self) -> None:
        """Close the socket."""
        if self._socket:
            self._socket.close()
