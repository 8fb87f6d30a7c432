"""Real bundles, videos and network cameras for the target side."""

import json
import shlex
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgecnn.bundle import MANIFEST, Bundle
from edgecnn.targets.board.machine import Machine
from edgecnn.targets.board.target import detect
from edgecnn.targets.engines import probe
from edgecnn.targets.engines.choice import choose

RED, GREEN, BLUE = (0, 0, 255), (0, 255, 0), (255, 0, 0)  # BGR


def _write_bundle(folder: Path, **replaced: Any) -> Path:
    shutil.copytree(probe.bundle("colours").path, folder)
    manifest = json.loads((folder / MANIFEST).read_text()) | replaced
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="session")
def write_bundle() -> Callable[..., Path]:
    """Writes a bundle of the probe network; keywords replace parts of the manifest."""
    return _write_bundle


@pytest.fixture(scope="session")
def colour_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red, green or blue: a real int8 network in all three formats."""
    path = _write_bundle(tmp_path_factory.mktemp("bundles") / "colours-int8")
    choose(Bundle.load(path), detect())  # tried now, not while a test waits for an answer
    return path


@pytest.fixture(scope="session")
def videos(samples: Path) -> dict[str, Path]:
    """Real videos by name; bikes.mp4 has 250 frames."""
    return {path.name: path for path in (samples / "videos").glob("*.mp4")}


@pytest.fixture
def picture(tmp_path: Path) -> Callable[[str, tuple[int, int, int]], Path]:
    """Writes a picture of one colour (BGR), 64×48."""

    def write(name: str, colour: tuple[int, int, int]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), np.full((48, 64, 3), colour, np.uint8))
        return path

    return write


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., Machine]:
    """A machine made of files and programs, as recorded from a board or written for a test."""

    def make(
        files: Mapping[str, str],
        architecture: str = "aarch64",
        *,
        raw: Mapping[str, str] | None = None,
        programs: Mapping[str, Mapping[str, str]] | None = None,
        cores: int | None = None,
        bits: int = 64,
    ) -> Machine:
        """`raw` are files in hexadecimal, `programs` what each prints by its arguments.

        `cores` is how many processors may be used; by default those that the tests may.
        """
        contents = {name: text.encode() for name, text in files.items()}
        contents |= {name: bytes.fromhex(text) for name, text in (raw or {}).items()}
        for name, content in contents.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        for name, answers in (programs or {}).items():
            program = tmp_path / "usr/bin" / name
            program.parent.mkdir(parents=True, exist_ok=True)
            cases = "".join(
                f"{shlex.quote(arguments)}) echo {shlex.quote(said)} ;;\n"
                for arguments, said in answers.items()
            )
            program.write_text(f'#!/bin/sh\ncase "$*" in\n{cases}*) exit 1 ;;\nesac\n')
            program.chmod(0o755)
        if cores is None:
            return Machine(tmp_path, architecture, bits=bits)
        return Machine(tmp_path, architecture, frozenset(range(cores)), bits)

    return make


class MjpegCamera:
    """A network camera on loopback: MJPEG over HTTP.

    Sends `frames` red pictures at `fps`, then ends as `then` says: `close` or `stall`.
    """

    def __init__(self) -> None:
        self.frames, self.fps, self.then = 30, 50.0, "close"
        self.released = threading.Event()
        _, jpeg = cv2.imencode(".jpg", np.full((120, 160, 3), (0, 0, 255), np.uint8))
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                part = (
                    b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n"
                    % (jpeg.size, jpeg.tobytes())
                )
                try:
                    for _ in range(camera.frames):
                        self.wfile.write(part)
                        time.sleep(1 / camera.fps)
                except OSError:
                    return  # the reader went away, as it may
                if camera.then == "stall":
                    camera.released.wait(30)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/stream"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def mjpeg_camera() -> Iterator[MjpegCamera]:
    """A network camera on loopback that does as told."""
    camera = MjpegCamera()
    yield camera
    camera.close()
