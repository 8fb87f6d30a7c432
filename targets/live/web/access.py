"""Who may see the page: this machine without asking, others with a token."""

import hmac
import ipaddress
import os
import secrets
import socket
from dataclasses import dataclass, field
from typing import Self

from edgecnn.errors import EdgeCnnError

TOKEN_VARIABLE = "EDGECNN_WEB_TOKEN"
MIN_TOKEN = 8
DEFAULT_HOST = "127.0.0.1"
EVERYWHERE = {
    "0.0.0.0": (socket.AF_INET, "192.0.2.1"),
    "::": (socket.AF_INET6, "2001:db8::1"),
}
"""All addresses of this machine, and one beyond it (of those kept for documentation)."""


@dataclass(frozen=True)
class Access:
    """Where the page is served and which token it asks for; None on loopback."""

    host: str
    port: int
    token: str | None = field(repr=False)

    @classmethod
    def parse(cls, address: str) -> Self:
        """From `HOST:PORT`, `[::]:PORT` or `:PORT`; raises `EdgeCnnError` for anything else.

        Beyond loopback the token is that of the environment variable EDGECNN_WEB_TOKEN, else a
        new one.
        """
        host, colon, port = address.rpartition(":")
        host = host.removeprefix("[").removesuffix("]") or DEFAULT_HOST
        if not (colon and port.isascii() and port.isdigit() and int(port) < 65536):
            raise EdgeCnnError(f"--web {address}: it is HOST:PORT, as in 127.0.0.1:8080.")
        try:
            host.encode("idna")
        except UnicodeError:
            raise EdgeCnnError(f"--web {address}: '{host}' is no host's name.") from None
        return cls(host, int(port), None if is_loopback(host) else _token())

    def admits(self, given: str | None) -> bool:
        """Whether a request with this token may pass."""
        if self.token is None:
            return True
        said = (given or "").encode(errors="surrogateescape")
        return hmac.compare_digest(said, self.token.encode())

    def is_addressed_by(self, host_header: str) -> bool:
        """Whether a request's Host header names us.

        Without a token only loopback names do: else a page from elsewhere could have its own
        name resolve to this machine and read ours through the visitor's browser.
        """
        name = host_header.rpartition(":")[0] if _has_port(host_header) else host_header
        return self.token is not None or is_loopback(name.removeprefix("[").removesuffix("]"))

    def url(self, port: int) -> str:
        """The page's address, for others to open where it is on all, with the token if needed."""
        host = _seen_from_outside(self.host) if self.host in EVERYWHERE else self.host
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{port}/" + (f"?token={self.token}" if self.token else "")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _seen_from_outside(host: str) -> str:
    """This machine's address on the way out, which a phone can open; `host` where there is none."""
    family, beyond = EVERYWHERE[host]
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as way:
            way.connect((beyond, 9))  # sends nothing
            address: str = way.getsockname()[0]
            return address
    except OSError:  # no network
        return host


def _has_port(host_header: str) -> bool:
    return host_header.rpartition(":")[2].isdigit() and not host_header.endswith("]")


def _token() -> str:
    token = os.environ.get(TOKEN_VARIABLE)
    if token is None:
        return secrets.token_urlsafe(16)
    if len(token) < MIN_TOKEN:
        raise EdgeCnnError(f"{TOKEN_VARIABLE} is too short: take {MIN_TOKEN} characters or more.")
    return token
