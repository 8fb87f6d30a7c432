"""A real RTSP server that dies, comes back and stalls under a running classifier.

It needs Debian's gir1.2-gst-rtsp-server-1.0, python3-gi and gstreamer1.0-plugins-ugly.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SERVER = Path(__file__).with_name("rtsp_server.py")
PYTHON = "/usr/bin/python3"
NEEDS = """
import gi
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst
Gst.init(None)
assert Gst.ElementFactory.find("x264enc")
"""

pytestmark = pytest.mark.slow


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def serve(port: int) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    if subprocess.run([PYTHON, "-c", NEEDS], capture_output=True).returncode:
        pytest.skip("GStreamer's RTSP server is not installed")
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        server = subprocess.Popen(
            [PYTHON, SERVER, str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        started.append(server)
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        return server

    yield start
    for server in started:
        server.kill()
        server.communicate()


def test_a_server_that_dies_comes_back_and_stalls(
    serve: Callable[[], subprocess.Popen[str]], port: int, lenet5_bundle: Path, tmp_path: Path
) -> None:
    lines, said = tmp_path / "lines.jsonl", tmp_path / "said.txt"
    url = f"rtsp://127.0.0.1:{port}/camera"
    server = serve()
    command = [sys.executable, "-m", "edgecnn", "run", str(lenet5_bundle), "--runtime", "litert"]
    options = ["--source", url, "--timeout", "3", "--jsonl", str(lines)]
    with said.open("w") as stderr:
        run = subprocess.Popen([*command, *options], stderr=stderr)

    def count() -> int:
        return len(lines.read_text().splitlines()) if lines.exists() else 0

    until(lambda: count() > 20)
    server.kill()
    until(lambda: "ended its stream. Connecting again." in said.read_text())
    server = serve()
    until(lambda: said.read_text().count("is back after") == 1)
    seen = count()
    until(lambda: count() > seen + 20)

    os.kill(server.pid, signal.SIGSTOP)
    until(lambda: "sent no frame for 3 s" in said.read_text())
    os.kill(server.pid, signal.SIGCONT)
    until(lambda: said.read_text().count("is back after") == 2)
    seen = count()
    until(lambda: count() > seen + 20)

    run.terminate()
    assert run.wait(5) == 0
