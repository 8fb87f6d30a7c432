"""Visitors of the page who mean no good."""

import contextlib
import http.client
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgecnn.targets.board.target import detect
from edgecnn.targets.classifier import load

pytest.importorskip("aiohttp", reason="--web needs the extra 'web'")
pytest.importorskip("prometheus_client", reason="--web needs the extra 'web'")
from edgecnn.targets.live.sinks.webpage import WebPage
from edgecnn.targets.live.web import visitors
from edgecnn.targets.live.web.visitors import LIMIT

KINDS = (
    b"",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n",
    b"GET /picture.mjpeg HTTP/1.1\r\nHost: localhost\r\n\r\n",
)
ASKS = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
REFUSED: dict[str, bytes] = {
    "garbage": b"\x00\xff\x16\x03\x01\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
    "a path upwards": b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a path upwards, encoded": b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a long address": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "headers": ASKS + b"X: y\r\n" * 50_000 + b"\r\n",
    "a long header": ASKS + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
    "two lengths": ASKS + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a body": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n",
    "another's name": b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
}


@pytest.fixture
def page(colour_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebPage]:
    monkeypatch.setattr(visitors, "ASK_S", 1.0)
    classifier = load(colour_bundle, threads=1)
    with contextlib.closing(WebPage("127.0.0.1:0", classifier, detect())) as served:
        yield served


def port(page: WebPage) -> int:
    return int(page.url.rstrip("/").rpartition(":")[2])


def status(page: WebPage) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port(page), timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", "/healthz")
        return connection.getresponse().status


@pytest.mark.parametrize("tried", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_connections_that_are_opened_and_left(
    page: WebPage, wait_for: Callable[[Callable[[], object], str], None], tried: int
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with contextlib.ExitStack() as held:
        for index in range(tried):
            visitor = socket.create_connection(("127.0.0.1", port(page)), 5)
            kind = KINDS[index % 3] if index < LIMIT else b""
            with contextlib.suppress(ConnectionError):
                visitor.sendall(kind)
            if index < LIMIT:
                held.callback(visitor.close)
            else:
                visitor.close()
        # Both ends are in this process.
        assert len(os.listdir("/proc/self/fd")) - before <= 2 * LIMIT + 20
        time.sleep(1.5)
        # Who asked for nothing is gone, and there is room again, for the page too.
        assert status(page) == 200
    wait_for(lambda: len(os.listdir("/proc/self/fd")) <= before + 5, "descriptors stay open")
    assert status(page) == 200


@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED.keys())
def test_what_no_browser_sends(
    page: WebPage, request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    with socket.create_connection(("127.0.0.1", port(page)), 5) as visitor:
        with contextlib.suppress(ConnectionError):
            visitor.sendall(request_)
        try:
            answer = visitor.recv(1000)
        except ConnectionError:
            answer = b""
    assert answer == b"" or answer.split()[1] in (b"400", b"403", b"404", b"405", b"431")
    assert b"root:" not in answer
    assert status(page) == 200
    assert "Traceback" not in caplog.text
