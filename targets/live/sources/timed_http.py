"""HTTP answers that must come in time as a whole.

A socket's own timeout starts anew with every byte, so that a peer which sends one now and then, or
headers without end, would be waited for for ever.
"""

import io
import time
import urllib.request
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any


class TimedResponse(HTTPResponse):
    """An answer whose head, and then whatever is asked for between two `renew`, has its time."""

    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self._timed = _Timed(self.fp.detach(), sock.gettimeout())
        self.fp = io.BufferedReader(self._timed)

    def renew(self) -> None:
        """Begin to count again."""
        self._timed.renew()


class _Timed(io.RawIOBase):
    def __init__(self, raw: Any, timeout_s: float) -> None:
        self._raw, self._timeout_s = raw, timeout_s
        self.renew()

    def renew(self) -> None:
        self._until = time.monotonic() + self._timeout_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._until:
            raise TimeoutError("timed out")
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Connection(HTTPConnection):
    response_class = TimedResponse


class _SecureConnection(HTTPSConnection):
    response_class = TimedResponse


class Http(urllib.request.HTTPHandler):
    """Opens `http://` so."""

    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        """As the library does."""
        return self.do_open(_Connection, req)


class Https(urllib.request.HTTPSHandler):
    """Opens `https://` so."""

    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        """As the library does."""
        return self.do_open(_SecureConnection, req)
