"""How many may be connected at once, and how long one may take to say what it wants.

Every connection takes a file descriptor, of which a program has a thousand: cameras, snapshots and
models need them too.
"""

import asyncio
import logging

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

LIMIT = 100
ASK_S = 10.0


class Visitors:
    """Makes the protocol of each connection; belongs to one event loop."""

    def __init__(self, server: web.Server) -> None:
        self._server = server
        self._asked: set[web.RequestHandler] = set()
        logging.getLogger("aiohttp.server").addFilter(_is_ours)

    def __call__(self) -> asyncio.BaseProtocol:
        """For a connection that was just accepted."""
        there = self._server.connections
        if len(there) >= LIMIT:
            return _Closed()
        self._asked.intersection_update(there)
        visitor = self._server()
        asyncio.get_running_loop().call_later(ASK_S, self._close_silent, visitor)
        return visitor

    def asks(self, request: web.Request) -> None:
        """A whole request has come; the library sees to it that the next does not take long."""
        self._asked.add(request.protocol)

    def _close_silent(self, visitor: web.RequestHandler) -> None:
        if visitor not in self._asked and visitor.transport is not None:
            visitor.transport.abort()


class _Closed(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _is_ours(record: logging.LogRecord) -> bool:
    """Not what a visitor does wrong, who would fill the log with tracebacks."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or not issubclass(kind, HttpProcessingError)
