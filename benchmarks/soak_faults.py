"""What goes wrong around a live classifier: a camera, a broker, viewers and a disk that fail."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np

FPS = 10.0
DISK_BYTES = 200 << 20
Faults = Counter[str]
"""How often each kind happened."""


class Camera:
    """MJPEG over HTTP that fails in every way now and then."""

    def __init__(self, chance: random.Random, faults: Faults) -> None:
        self.over = threading.Event()
        rng = np.random.default_rng(0)
        self._jpegs = [
            cv2.imencode(".jpg", cv2.resize(rng.integers(0, 255, (6, 8, 3), np.uint8), size))[
                1
            ].tobytes()
            for size in ((320, 240), (320, 240), (320, 240), (200, 320))
        ]
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if chance.random() < 0.1:
                    faults["camera refuses"] += 1
                    self.send_error(503)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                with contextlib.suppress(OSError):
                    camera.play(self.wfile.write, chance, faults)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/stream"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def play(self, write: Callable[[bytes], Any], chance: random.Random, faults: Faults) -> None:
        """One connection: pictures, until something goes wrong."""
        until = time.monotonic() + chance.expovariate(1 / 40)
        while not self.over.is_set():
            jpeg = chance.choice(self._jpegs)
            if chance.random() < 0.01:
                faults["half a picture"] += 1
                jpeg = jpeg[: len(jpeg) // 2]
            elif chance.random() < 0.005:
                faults["rubbish between pictures"] += 1
                write(chance.randbytes(3000).replace(b"\xff", b"\0"))
            head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
            write(head + jpeg + b"\r\n")
            if time.monotonic() > until:
                if chance.random() < 0.5:
                    faults["camera closes"] += 1
                    return
                faults["camera stalls"] += 1
                self.over.wait(4)
                return
            time.sleep(1 / FPS)

    def close(self) -> None:
        """Stop serving."""
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


class Broker:
    """mosquitto, killed, stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self._config = folder / "mosquitto.conf"
        self.port = free_port()
        lines = (f"listener {self.port} 127.0.0.1", "allow_anonymous true", "user root", "")
        self._config.write_text("\n".join(lines))
        self._program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, where it is installed."""
        if self._program:
            quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            self._process = subprocess.Popen([self._program, "-c", str(self._config)], **quiet)

    def trouble(self, chance: random.Random, faults: Faults, over: threading.Event) -> None:
        """Until it is over: killed for a while, or stopped."""
        while self._process and not over.wait(chance.expovariate(1 / 45)):
            if chance.random() < 0.5:
                faults["broker killed"] += 1
                self.kill()
                over.wait(chance.uniform(1, 20))
                self.start()
            else:
                faults["broker stops answering"] += 1
                self._process.send_signal(signal.SIGSTOP)
                over.wait(chance.uniform(1, 40))
                self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it."""
        if self._process:
            self._process.kill()
            self._process.wait()


def viewers(port: int, chance: random.Random, faults: Faults, over: threading.Event) -> None:
    """One that never reads all along, and others that come, read or not, and leave."""

    def watch(path: str) -> socket.socket:
        viewer = socket.create_connection(("127.0.0.1", port), 5)
        viewer.sendall(f"GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return viewer

    lazy: list[socket.socket] = []
    while not over.wait(chance.expovariate(1 / 20)):
        with contextlib.suppress(OSError):
            if not lazy or chance.random() < 0.05:
                faults["viewer that never reads"] += 1
                lazy.append(watch("picture.mjpeg"))
            if len(lazy) > 1:
                lazy.pop(0).close()
            faults["viewer that leaves"] += 1
            with watch(chance.choice(["picture.mjpeg", "status", "metrics", "healthz"])) as viewer:
                viewer.settimeout(2)
                for _ in range(chance.randint(1, 50)):
                    if not viewer.recv(1 << 16):
                        break
    for viewer in lazy:
        viewer.close()


def ballast(folder: Path, chance: random.Random, faults: Faults, over: threading.Event) -> None:
    """Fill the disk to the last byte now and then, and empty it again."""
    file = folder / "ballast"
    while not over.wait(chance.expovariate(1 / 120)):
        faults["disk full"] += 1
        with contextlib.suppress(OSError), file.open("wb", buffering=0) as stream:
            while True:
                stream.write(bytes(1 << 16))
        over.wait(chance.uniform(5, 30))
        file.unlink()


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[bool]:
    """A small file system in memory at that folder; False where we may not make one."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "soak", str(folder)]
    mounted = os.getuid() == 0 and subprocess.run(words, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def free_port() -> int:
    """A port that nobody listens to at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
