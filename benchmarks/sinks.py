"""What outputs that are slow cost the live loop: nothing, if all is well.

    edgecnn export mobilenet_v2 --int8 --weights random
    python benchmarks/sinks.py exports/mobilenet_v2-int8 [--rounds 40] [--seconds 5]

A camera at 30 frames a second is classified in turns without any output, and with all of them, each
made slow: JSON lines into a pipe that nobody reads, a recording and snapshots on a disk that takes
half a second for each write, a page whose viewer never reads, an MQTT broker that takes the
connection and answers nothing more, and, where there is a display, a window that takes half a
second to draw. Printed is the age of a frame when it is answered, median and p99, their ratios and
a 95% interval from drawing turns at random (bootstrap). Also how long the outputs kept the loop.
"""

import argparse
import contextlib
import logging
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from edgecnn.targets.board.target import detect
from edgecnn.targets.captured import Captured
from edgecnn.targets.classifier import Classifier, load
from edgecnn.targets.live.loop import LiveOptions, follow
from edgecnn.targets.live.outputs import Outputs
from edgecnn.targets.live.pulse import Pulse
from edgecnn.targets.live.sinks import Sink, beside
from edgecnn.targets.live.sources import open_frames
from edgecnn.targets.live.stopping import Stop
from edgecnn.targets.prediction import Prediction

CAMERA = "synthetic:640x480@30"
SLOW_S = 0.5
CONNACK = bytes([0x20, 2, 0, 0])


class SlowDisk:
    """An output whose every write takes half a second longer."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, prediction: Prediction, captured: Captured) -> None:
        time.sleep(SLOW_S)
        self._sink.write(prediction, captured)

    def close(self) -> None:
        self._sink.close()


@contextlib.contextmanager
def slow_disks() -> Iterator[None]:
    """What writes files or a window takes half a second for each."""
    usual = beside.Beside

    class Slowed(usual):  # type: ignore[misc, valid-type]
        def __init__(self, make: Callable[[], Sink], name: str, **how: Any) -> None:
            super().__init__(lambda: SlowDisk(make()), name, **how)

    beside.Beside = Slowed  # type: ignore[misc]
    try:
        yield
    finally:
        beside.Beside = usual  # type: ignore[misc]


@contextlib.contextmanager
def silent_broker() -> Iterator[str]:
    """Takes an MQTT client's connection and answers nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    connection.sendall(CONNACK)
                    taken.append(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield f"mqtt://127.0.0.1:{server.getsockname()[1]}/robot"
        for connection in taken:
            connection.close()


@contextlib.contextmanager
def unread_pipe() -> Iterator[str]:
    """A pipe with a reader that never reads."""
    reader, writer = os.pipe()
    try:
        yield f"/proc/self/fd/{writer}"
    finally:
        os.close(reader)
        os.close(writer)


@contextlib.contextmanager
def lazy_viewer(port: int) -> Iterator[None]:
    """Asks for the live picture, and reads none of it."""
    with socket.socket() as viewer:
        viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        viewer.connect(("127.0.0.1", port))
        viewer.sendall(b"GET /picture.mjpeg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        yield


def free_port() -> int:
    """A port that nobody listens to at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def turn(classifier: Classifier, seconds: float, slow: bool) -> tuple[list[float], list[float]]:
    """Ages of the frames answered and what the outputs took of the loop, in milliseconds."""
    stop, ages, kept = Stop(), [], []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as held:
        source = held.enter_context(contextlib.closing(open_frames(CAMERA, stop=stop)))
        sinks: list[Sink] = []
        if slow:
            port = free_port()
            asked = Outputs(
                jsonl=held.enter_context(unread_pipe()),
                record=Path(folder) / "seen.avi",
                snapshots=Path(folder) / "unsure",
                snapshots_below=1.0,
                mqtt=held.enter_context(silent_broker()),
                web=f"127.0.0.1:{port}",
                show="DISPLAY" in os.environ,
            )
            with slow_disks():
                sinks = asked.open(held, source, classifier, detect(), stop, Pulse())
            held.enter_context(lazy_viewer(port))
        held.callback(stop.set)
        until = time.monotonic() + seconds
        for prediction, captured in follow(
            source, classifier, LiveOptions(), frames=None, stop=stop
        ):
            ages.append(prediction.latency_ms.age)
            started = time.perf_counter()
            for sink in sinks:
                sink.write(prediction, captured)
            kept.append((time.perf_counter() - started) * 1e3)
            if time.monotonic() > until:
                break
    # The first ones come while threads start and buffers are made.
    return ages[10:], kept[10:]


def ratios(none: list[list[float]], slow: list[list[float]], of: float) -> str:
    """A percentile of both, their ratio and its 95% interval."""
    rng = np.random.default_rng(0)

    def ratio(turns: Any) -> float:
        chosen = [np.concatenate([ages[i] for i in turns]) for ages in (slow, none)]
        first, second = (float(np.percentile(ages, of)) for ages in chosen)
        return first / second

    count = len(none)
    drawn = [ratio(rng.integers(0, count, count)) for _ in range(2000)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    found = [np.percentile(np.concatenate(ages), of) for ages in (none, slow)]
    return (
        f"p{of:g}: {found[0]:.2f} ms without outputs, {found[1]:.2f} ms with all of them slow: "
        f"{ratio(range(count)):.3f} x [{low:.3f}, {high:.3f}]"
    )


def main() -> None:
    """Take turns, and print what they gave."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--runtime", default="litert", help="litert, onnxruntime or openvino")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=5, help="of each turn")
    given = parser.parse_args()
    logging.disable(logging.WARNING)  # that they are slow, which is meant
    classifier = load(given.bundle, given.runtime, threads=1)
    ages: dict[bool, list[list[float]]] = {False: [], True: []}
    kept: list[float] = []
    for number in range(given.rounds):
        for slow in (False, True) if number % 2 else (True, False):
            found, took = turn(classifier, given.seconds, slow)
            ages[slow].append(found)
            kept += took if slow else []
    frames = [sum(map(len, ages[slow])) for slow in (False, True)]
    shown = "with" if "DISPLAY" in os.environ else "without"
    print(
        f"sinks: {classifier.bundle.name}, {classifier.session.engine}, {shown} a window, "
        f"{given.rounds} turns each, {frames[0]} and {frames[1]} frames; of a frame's age"
    )
    for of in (50, 99):
        print(f"  {ratios(ages[False], ages[True], of)}")
    print(
        f"  the loop was with its outputs for {np.median(kept):.3f} ms a frame, p99 "
        f"{np.percentile(kept, 99):.3f}, {max(kept):.1f} at most"
    )


if __name__ == "__main__":
    main()
