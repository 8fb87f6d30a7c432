"""Passwords in addresses: given to the camera that asks for them, and to nobody else."""

import hashlib
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgecnn.errors import EdgeCnnError, SourceError
from edgecnn.targets.live.sources import open_frames
from edgecnn.targets.live.systemd import unit
from edgecnn.targets.live.urls import has_secret, user_and_password, without_password

SECRET = [
    "rtsp://robot:hunter2@camera/live",
    "rtsp://robot:hun#ter2@camera/live",
    "rtsp://robot:/hunter2@camera:554/live",
    "http://robot:?hunter2@camera/live",
    "http://robot:hunt@er2@camera/live",
    "http://camera/live?user=robot&password=hunter2",
    "http://camera/live?Access_Token=hunter2#top",
    "rtsp://camera/live?pwd=hunter2&channel=1",
]


@pytest.mark.parametrize("url", SECRET)
def test_nothing_of_a_password_is_printed(url: str) -> None:
    shown = without_password(url)
    assert has_secret(url)
    assert "hun" not in shown
    assert "er2" not in shown
    assert "camera" in shown
    assert "live" in shown


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://camera:554/live",
        "http://camera/a@b/live",
        "http://camera/live?channel=1",
        "0",
        "a/b",
    ],
)
def test_what_holds_none_stays_as_it_is(url: str) -> None:
    assert without_password(url) == url
    assert not has_secret(url)


def test_a_password_is_decoded() -> None:
    assert user_and_password("rtsp://robot:p%23%2F%40@camera/") == ("robot", "p#/@")
    assert user_and_password("rtsp://camera/") is None


@pytest.mark.parametrize("url", SECRET[1:4])
def test_one_that_ends_the_address_says_how_to_write_it(url: str) -> None:
    with pytest.raises(SourceError, match="# as %23") as caught:
        user_and_password(url)
    assert "hun" not in str(caught.value)


@pytest.mark.parametrize("url", [url.replace("camera", "127.0.0.1:9") for url in SECRET])
def test_the_command_keeps_it_to_itself(url: str, colour_bundle: Path) -> None:
    words = ["run", str(colour_bundle), "--source", url, "--timeout", "1", "--max-outage", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "edgecnn", *words, "--runtime", "litert"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "hun" not in done.stderr
    assert "er2" not in done.stderr
    assert "bug" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_unit_holds_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EdgeCnnError, match="env:EDGECNN_SOURCE") as caught:
        unit(["bundle", "--source", SECRET[0]], "bundle", "pi")
    assert "hunter2" not in str(caught.value)
    assert '"env:EDGECNN_SOURCE"' not in unit(["--source", "env:EDGECNN_SOURCE"], "b", "pi")


def test_an_address_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="EYE is not set"):
        open_frames("env:EYE")
    monkeypatch.setenv("EYE", "synthetic:32x24")
    source = open_frames("env:EYE")
    captured = source.read()
    assert captured is not None
    assert captured.image.shape == (24, 32, 3)
    source.close()


JPEG = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()


def _digest(header: str, method: str) -> bool:
    """RFC 2617, section 3.2.2, for the user robot with the password hunter2."""
    given = dict(re.findall(r'(\w+)="?([^",]+)"?', header))

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    first, second = md5("robot:eye:hunter2"), md5(f"{method}:{given['uri']}")
    middle = f"{given['nonce']}:{given['nc']}:{given['cnonce']}:{given['qop']}"
    return given["response"] == md5(f"{first}:{middle}:{second}")


class Guarded(BaseHTTPRequestHandler):
    """A camera behind a password."""

    challenge = ""
    admits: Callable[[str, str], bool]

    def do_GET(self) -> None:
        header = self.headers.get("Authorization")
        if header is None or not type(self).admits(header, "GET"):
            self.send_response(401)
            self.send_header("WWW-Authenticate", self.challenge)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(JPEG)
        for _ in range(20):
            self.wfile.write(head + JPEG + b"\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        pass


WAYS: dict[str, tuple[str, Callable[[str, str], bool]]] = {
    "basic": ('Basic realm="eye"', lambda header, _: header == "Basic cm9ib3Q6aHVudGVyMg=="),
    "digest": ('Digest realm="eye", nonce="abc", qop="auth", algorithm=MD5', _digest),
}


@pytest.fixture(params=WAYS)
def guarded(request: pytest.FixtureRequest) -> Iterator[int]:
    challenge, admits = WAYS[request.param]
    handler = type("Camera", (Guarded,), {"challenge": challenge, "admits": staticmethod(admits)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield server.server_address[1]
    server.shutdown()
    serving.join()
    server.server_close()


def test_a_camera_gets_it_the_way_it_asks(guarded: int) -> None:
    address = f"127.0.0.1:{guarded}/live?channel=1"
    source = open_frames(f"http://robot:hunter2@{address}", timeout_s=5, max_outage_s=0)
    captured = source.read()
    assert captured is not None
    assert captured.image.shape == (48, 64, 3)
    source.close()
    with pytest.raises(SourceError, match="401"):
        open_frames(f"http://robot:wrong@{address}", timeout_s=5, max_outage_s=0).read()
