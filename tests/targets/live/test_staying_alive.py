import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn.errors import RuntimeUnavailable, SourceError, SourceOutage
from edgecnn.targets.captured import Captured
from edgecnn.targets.classifier import load
from edgecnn.targets.engines.session import Session
from edgecnn.targets.live.loop import answers
from edgecnn.targets.live.sources import open_frames, reconnecting
from edgecnn.targets.live.sources.newest import NewestFrame
from edgecnn.targets.live.sources.reconnecting import Reconnecting
from edgecnn.targets.live.sources.source import FrameSource

Act = Callable[["Stage"], None]


class Stage:
    """One connection to the camera, on which it plays its part."""

    def __init__(self, write: Callable[[bytes], int], over: threading.Event) -> None:
        self._write = write
        self.over = over

    def send(self, count: int, size: tuple[int, int] = (160, 120), keep: float = 1.0) -> None:
        """Pictures of one grey, each of them cut to the part `keep`."""
        noise = np.random.default_rng(0).integers(80, 120, (size[1], size[0], 3), np.uint8)
        jpeg = cv2.imencode(".jpg", noise)[1].tobytes()
        jpeg = jpeg[: int(len(jpeg) * keep)]
        for _ in range(count):
            head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
            self._write(head + jpeg + b"\r\n")
            time.sleep(0.01)


class UnreliableCamera:
    """MJPEG over HTTP on loopback; each connection plays the next act, the last one repeats."""

    def __init__(self, acts: list[Act], port: int = 0) -> None:
        self.connections = 0
        self.over = threading.Event()
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                act = acts[min(camera.connections, len(acts) - 1)]
                camera.connections += 1
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                try:
                    act(Stage(self.wfile.write, camera.over))
                except OSError:
                    return  # the reader went away, as it may

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/stream"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


Cameras = Callable[..., UnreliableCamera]


@pytest.fixture
def camera() -> Iterator[Cameras]:
    """Starts an unreliable camera."""
    started = []

    def start(*acts: Act, port: int = 0) -> UnreliableCamera:
        started.append(UnreliableCamera(list(acts), port))
        return started[-1]

    yield start
    for one in started:
        one.close()


def well(stage: Stage) -> None:
    while not stage.over.is_set():
        stage.send(10)


def closes(stage: Stage) -> None:
    stage.send(5)


def stalls(stage: Stage) -> None:
    stage.send(5)
    stage.over.wait(30)


def dies_in_a_picture(stage: Stage) -> None:
    stage.send(5)
    stage.send(1, keep=0.5)


def sends_half_pictures(stage: Stage) -> None:
    stage.send(5)
    stage.send(12, keep=0.5)
    well(stage)


def changes_size(stage: Stage) -> None:
    stage.send(20)
    while not stage.over.is_set():
        stage.send(10, size=(320, 200))


def frames_until(source: FrameSource, enough: Callable[[Captured], bool]) -> list[Captured]:
    """Reads until a frame is as wanted; the pixels of the last one only are valid."""
    found = []
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        captured = source.read()
        assert captured is not None
        found.append(captured)
        if enough(captured):
            return found
    raise AssertionError("30 s passed")


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (closes, "ended its stream. Connecting again"),
        (stalls, "sent no frame for 0.5 s"),
        (dies_in_a_picture, "ended its stream. Connecting again"),
    ],
)
def test_a_stream_that_breaks_is_connected_again(
    camera: Cameras, caplog: pytest.LogCaptureFixture, act: Act, said: str
) -> None:
    served = camera(act, act, well)
    source = open_frames(served.url, timeout_s=0.5)
    frames = frames_until(source, lambda frame: frame.index >= 30)
    source.close()
    assert served.connections == 3
    assert said in caplog.text
    assert caplog.text.count("is back after") == 2
    # Numbers go on over a reconnection, and every frame was read or counted.
    indices = [frame.index for frame in frames]
    assert indices == sorted(set(indices))
    assert sum(1 + frame.dropped for frame in frames) == indices[-1] + 1


def test_half_a_picture_is_skipped_and_said(
    camera: Cameras, caplog: pytest.LogCaptureFixture
) -> None:
    served = camera(sends_half_pictures)
    source = open_frames(served.url, timeout_s=5)
    frames = frames_until(source, lambda frame: frame.index >= 25)
    source.close()
    assert served.connections == 1
    # The twelve halves were never handed out.
    assert not {frame.index for frame in frames} & set(range(5, 17))
    assert "cut off or damaged: skipped (1 so far)" in caplog.text
    assert "skipped (10 so far)" in caplog.text
    assert caplog.text.count("skipped") == 2


def test_the_size_may_change(camera: Cameras, caplog: pytest.LogCaptureFixture) -> None:
    source = open_frames(camera(changes_size).url, timeout_s=5)
    shapes = {frame.image.shape for frame in frames_until(source, lambda f: f.index > 40)}
    source.close()
    assert shapes == {(120, 160, 3), (200, 320, 3)}
    assert not caplog.text


def test_a_server_that_was_away_is_waited_for(
    camera: Cameras, caplog: pytest.LogCaptureFixture
) -> None:
    first = camera(well)
    source = open_frames(first.url, timeout_s=1)
    assert source.read() is not None
    first.close()
    threading.Timer(0.6, lambda: camera(well, port=first.port)).start()
    frames_until(source, lambda _: "is back after" in caplog.text)
    source.close()
    assert "Connecting again" in caplog.text


def test_an_outage_has_its_limit(camera: Cameras) -> None:
    source = open_frames(camera(closes).url, timeout_s=1, max_outage_s=30)
    assert source.read() is not None
    source.close()
    served = camera(closes, lambda _: None)
    source = open_frames(served.url, timeout_s=1, max_outage_s=0.6)
    with pytest.raises(SourceOutage, match=r"longer than --max-outage 0\.6"):
        frames_until(source, lambda _: False)
    source.close()


def test_an_address_that_never_worked_is_an_error_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(SourceError, match="cannot be opened"):
        open_frames(f"http://127.0.0.1:{port}/stream")


def test_an_answer_that_is_no_video(tmp_path: Path, camera: Cameras) -> None:
    class Refuses(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(401)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refuses)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    with pytest.raises(SourceError, match="answers 401") as caught:
        open_frames(f"http://me:secret@127.0.0.1:{server.server_port}/")
    server.shutdown()
    server.server_close()
    assert "secret" not in str(caught.value)


class Cable:
    """A camera that delivers three frames each time it is plugged in."""

    fps: float | None = 50.0
    endless = True
    age_s = 0.0

    def __init__(self) -> None:
        self.left = 3

    def wait(self) -> bool:
        time.sleep(0.005)
        self.left -= 1
        return self.left >= 0

    def take(self, into: np.ndarray | None) -> np.ndarray:
        return np.zeros((2, 2, 3), np.uint8)

    def close(self) -> None:
        pass


def test_a_pulled_cable_is_said_once_for_each_reason(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reconnecting, "BACK_OFF_S", (0.001,))
    attempts = 0

    def plug() -> Cable:
        nonlocal attempts
        attempts += 1
        if 1 < attempts < 20:
            raise SourceError("No camera: there is no /dev/video0.")
        return Cable()

    source = Reconnecting(lambda: NewestFrame("/dev/video0", plug, timeout_s=5))
    frames = frames_until(source, lambda frame: frame.index >= 3)
    source.close()
    assert attempts == 20
    assert len(frames) >= 2
    said = [record.message for record in caplog.records]
    assert said[0].startswith("edgecnn: /dev/video0 ended its stream.")
    assert said[1].startswith("edgecnn: No camera: there is no /dev/video0.")
    assert "is back after" in said[2]
    assert len(said) == 3


def test_an_end_that_is_meant_ends() -> None:
    class Film(Cable):
        endless = False

    source = Reconnecting(lambda: NewestFrame("http://film", Film, timeout_s=5))
    while source.read() is not None:
        pass
    source.close()


def test_a_film_without_a_frame_is_an_error() -> None:
    class Nothing(Cable):
        endless = False

        def wait(self) -> bool:
            return False

    source = Reconnecting(lambda: NewestFrame("http://film", Nothing, timeout_s=5))
    with pytest.raises(SourceError, match="ended before its first whole frame"):
        source.read()
    source.close()


def test_stop_ends_a_wait_for_the_next_attempt() -> None:
    stop = threading.Event()
    source = Reconnecting(lambda: NewestFrame("camera", Cable, timeout_s=5, stop=stop), stop=stop)
    threading.Timer(0.3, stop.set).start()
    while source.read() is not None:
        pass
    source.close()


def test_the_command_survives_says_so_and_gives_up(colour_bundle: Path, camera: Cameras) -> None:
    served = camera(closes, dies_in_a_picture, sends_half_pictures)
    command = [sys.executable, "-m", "edgecnn", "run", str(colour_bundle), "--jsonl", "-"]
    with subprocess.Popen(
        [*command, "--source", served.url, "--timeout", "0.5", "--max-outage", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if json.loads(line)["frame"] > 30:
                break
        served.close()
        _, errors = running.communicate(timeout=30)
    assert running.returncode == 1
    assert errors.count("is back after") == 2
    assert "longer than --max-outage 1" in errors
    assert "Traceback" not in errors


def test_nobody_has_to_read_what_it_says(colour_bundle: Path, camera: Cameras) -> None:
    served = camera(closes, closes, sends_half_pictures)
    command = [sys.executable, "-m", "edgecnn", "run", str(colour_bundle), "--runtime", "litert"]
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:  # not a byte more has room in it
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    with subprocess.Popen(
        [*command, "--source", served.url, "--jsonl", "-"], stdout=subprocess.PIPE, stderr=writer
    ) as running:
        os.close(writer)
        assert running.stdout is not None
        killer = threading.Timer(25, running.kill)
        killer.start()
        seen = next((line for line in running.stdout if json.loads(line)["frame"] > 30), None)
        running.terminate()
        running.stdout.read()
        assert running.wait(10) == 0
        killer.cancel()
    assert seen is not None
    assert served.connections == 3
    os.close(reader)


class Fails:
    """An engine that fails on some frames."""

    def __init__(self, session: Session, bad: Callable[[int], bool]) -> None:
        self._session, self._bad, self.count = session, bad, -1
        self.engine, self.threads = session.engine, session.threads
        self.input_shape, self.classes = session.input_shape, session.classes
        self.features = session.features

    def infer(self, image: np.ndarray, features: np.ndarray | None = None) -> np.ndarray:
        self.count += 1
        if self._bad(self.count):
            raise RuntimeUnavailable("the accelerator was reset")
        return self._session.infer(image, features)


def test_frames_that_an_engine_fails_on_are_counted(
    colour_bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    classifier = load(colour_bundle, "litert", 1)
    classifier.session = Fails(classifier.session, lambda count: count % 4 in (1, 2))
    with contextlib.closing(open_frames("synthetic:64x48@200")) as camera:
        found = [prediction for prediction, _ in answers(camera, classifier, frames=20)]
    assert sum(1 + one.dropped + one.failed for one in found) == found[-1].frame + 1
    assert sum(one.failed for one in found) == 20
    assert [one.to_json().get("failed") for one in found[:3]] == [None, 2, None]
    assert caplog.text.count("the accelerator was reset") == 2  # the first and the tenth


def test_an_engine_that_fails_for_good_ends_it(colour_bundle: Path) -> None:
    classifier = load(colour_bundle, "litert", 1)
    classifier.session = broken = Fails(classifier.session, lambda count: count > 0)
    with contextlib.closing(open_frames("synthetic:64x48@200")) as camera:
        following = answers(camera, classifier)
        next(following)
        with pytest.raises(RuntimeUnavailable, match="the accelerator was reset"):
            next(following)
    assert broken.count == 11
    # Of a film no frame may be missing.
    classifier.session = broken = Fails(broken._session, lambda count: True)
    with pytest.raises(RuntimeUnavailable, match="the accelerator was reset"):
        next(answers(open_frames("synthetic:64x48"), classifier))
    assert broken.count == 0
