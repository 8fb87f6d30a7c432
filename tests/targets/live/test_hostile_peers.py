"""HTTP servers that would keep a robot waiting, fill its memory or lead it to its own files."""

import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn.errors import SourceError
from edgecnn.targets.live.sources.jpegs import MAX_PIXELS
from edgecnn.targets.live.sources.network import open_stream

TIMEOUT_S = 1.0
Behaviour = Callable[[socket.socket], object]
HEAD = b"HTTP/1.1 200 OK\r\n"
STREAM = HEAD + b"Content-Type: multipart/x-mixed-replace; boundary=b\r\n"
PICTURE = cv2.imencode(".jpg", np.zeros((48, 48, 3), np.uint8))[1].tobytes()


def forever(first: bytes, then: bytes, every_s: float = 0.0) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(then)
            time.sleep(every_s)

    return behave


def moved(to: str) -> Behaviour:
    answer = f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"
    return lambda connection: connection.sendall(answer.encode())


def playlist(connection: socket.socket) -> None:
    """A stream that says it is in a file of the robot."""
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{FILM}\n#EXT-X-ENDLIST\n"
    head = f"Content-Type: application/vnd.apple.mpegurl\r\nContent-Length: {len(text)}\r\n\r\n"
    connection.sendall(HEAD + (head + text).encode())


def silent(connection: socket.socket) -> None:
    connection.sendall(STREAM + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\n")
    time.sleep(20)


BOUNDED = "over 64 MB|sent no frame for 1 s"
"""Whichever bound is reached first: a machine that is busy may send less than that in a second."""
FILM = f"{tempfile.gettempdir()}/film-{os.getpid()}.avi"
PEERS: dict[str, tuple[Behaviour, str]] = {
    "headers without end": (forever(HEAD, b"X: " + b"a" * 999 + b"\r\n"), "more than 100 headers"),
    "a header without end": (forever(HEAD + b"X: ", b"a" * 65536), "more than 65536 bytes"),
    "a status without end": (forever(b"", b"a" * 65536), "more than 65536 bytes"),
    "a header, byte by byte": (forever(HEAD + b"X: ", b"a", 0.1), "did not answer in 1 s"),
    "wait, wait, wait": (forever(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "did not answer in 1 s"),
    "a boundary without end": (forever(STREAM + b"\r\n", b"--b" * 20000), "is not JPEG"),
    "a picture without end": (forever(STREAM + b"\r\n" + PICTURE[:-2], b"a" * 65536), BOUNDED),
    "segments without end": (
        forever(STREAM + b"\r\n\xff\xd8", b"\xff\xe1\x00\x04ab" * 10000),
        BOUNDED,
    ),
    "a picture, byte by byte": (
        forever(STREAM + b"\r\n" + PICTURE[:99], b"a", 0.1),
        "sent no frame for 1 s",
    ),
    "a chunk larger than any": (silent, "sent no frame for 1 s"),
    "moved to a file": (moved(f"file://{FILM}"), "not allowed"),
    "moved in circles": (moved("/"), "infinite loop"),
    "a playlist of files": (playlist, "cannot be opened"),
}


@pytest.fixture
def serve() -> Iterator[Callable[[Behaviour], str]]:
    """Starts a server that does so to everyone; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer(behave: Behaviour) -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(behave, connection), daemon=True).start()

        def one(behave: Behaviour, connection: socket.socket) -> None:
            with connection:
                try:
                    connection.recv(1 << 16)
                    behave(connection)
                except OSError:
                    return  # the robot hung up, as it should

        def start(behave: Behaviour) -> str:
            threading.Thread(target=answer, args=(behave,), daemon=True).start()
            return f"http://127.0.0.1:{listening.getsockname()[1]}/"

        yield start
        listening.shutdown(socket.SHUT_RDWR)


def watch(address: str) -> None:
    with closing(open_stream(address, TIMEOUT_S)) as device:
        while device.wait():
            device.take(None)


@pytest.mark.parametrize(("behave", "message"), PEERS.values(), ids=PEERS.keys())
def test_it_ends_soon_and_says_why(
    serve: Callable[[Behaviour], str], behave: Behaviour, message: str
) -> None:
    film = cv2.VideoWriter(FILM, cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 64))
    film.write(np.zeros((64, 64, 3), np.uint8))
    film.release()
    address = serve(behave)
    started = time.monotonic()
    try:
        with pytest.raises(SourceError, match=message):
            watch(address)
        assert time.monotonic() - started < 10 * TIMEOUT_S
    finally:
        Path(FILM).unlink()


def test_a_picture_that_says_it_is_huge_is_not_decoded(
    serve: Callable[[Behaviour], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = bytearray(PICTURE)
    at = bomb.find(b"\xff\xc0") + 5
    bomb[at : at + 4] = (30000).to_bytes(2, "big") * 2
    assert MAX_PIXELS < 30000 * 30000
    parts = b"--b\r\n\r\n" + bytes(bomb) + b"\r\n--b\r\n\r\n" + PICTURE + b"\r\n"
    device = open_stream(serve(forever(STREAM + b"\r\n", parts, 0.05)), TIMEOUT_S)
    assert device.wait()
    with monkeypatch.context() as patched:
        patched.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
        assert device.take(None) is None
    assert device.wait()
    assert device.take(None) is not None
    device.close()
