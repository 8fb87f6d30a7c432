"""What outputs that are slow cost the live loop: nothing, if all is well.

    edgecnn export mobilenet_v2 --int8 --weights random
    python benchmarks/sinks.py exports/mobilenet_v2-int8 [--rounds 25] [--seconds 3]

A camera at 30 frames a second is classified in turns without any output, with each one alone and
with all of them, made slow: JSON lines into a pipe that nobody reads, a recording and snapshots on
a disk that takes half a second for each write, a page whose viewer never reads, an MQTT broker that
takes the connection and answers nothing more, and, where there is a display, a window that takes
half a second to draw. stderr is a pipe that nobody reads too.

A round is a turn of each, in an order drawn anew. Printed is the age of a frame when it is
answered: p99 over all turns; of its ratio to that of the turn without outputs in the same round the
median, and its 95% interval from drawing rounds at random (bootstrap). So what else the machine
does in a round is in both. Also how long the outputs kept the loop.

For figures that another program has no part in, on a machine that is quiet: chrt -f 1 python ...
"""

import argparse
import contextlib
import os
import random
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
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
from edgecnn.targets.live.spoken import spoken_beside
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
    usual, grace = beside.Beside, beside.GRACE_S

    class Slowed(usual):  # type: ignore[misc, valid-type]
        def __init__(self, make: Callable[[], Sink], name: str, **how: Any) -> None:
            super().__init__(lambda: SlowDisk(make()), name, **how)

    beside.Beside = Slowed  # type: ignore[misc]
    beside.GRACE_S = 0.1  # of a turn that is over, nobody waits for the rest
    try:
        yield
    finally:
        beside.Beside, beside.GRACE_S = usual, grace  # type: ignore[misc]


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


def asked(kinds: Sequence[str], folder: Path, held: ExitStack) -> Outputs:
    """These outputs, and whoever makes them slow."""
    given: dict[str, Any] = {}
    if "jsonl" in kinds:
        given["jsonl"] = held.enter_context(unread_pipe())
    if "record" in kinds:
        given["record"] = folder / "seen.avi"
    if "snapshots" in kinds:
        given |= {"snapshots": folder / "unsure", "snapshots_below": 1.0}
    if "mqtt" in kinds:
        given["mqtt"] = held.enter_context(silent_broker())
    if "web" in kinds:
        given["web"] = f"127.0.0.1:{free_port()}"
    return Outputs(show="show" in kinds, **given)


def turn(
    classifier: Classifier, seconds: float, kinds: Sequence[str]
) -> tuple[list[float], list[float]]:
    """Ages of the frames answered and what the outputs took of the loop, in milliseconds."""
    stop, ages, kept = Stop(), [], []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as held:
        source = held.enter_context(contextlib.closing(open_frames(CAMERA, stop=stop)))
        sinks: list[Sink] = []
        if kinds:
            outputs = asked(kinds, Path(folder), held)
            held.enter_context(slow_disks())
            sinks = outputs.open(held, source, classifier, detect(), stop, Pulse())
            if outputs.web:
                held.enter_context(lazy_viewer(int(outputs.web.rpartition(":")[2])))
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


def ratios(none: list[list[float]], slow: list[list[float]]) -> str:
    """p99 over all turns; the median of its ratios in each round, and its 95% interval."""
    pooled = np.percentile(np.concatenate(slow), 99)
    of_rounds = np.array(
        [np.percentile(b, 99) / np.percentile(a, 99) for a, b in zip(none, slow, strict=True)]
    )
    drawn = np.random.default_rng(0).choice(of_rounds, (2000, len(of_rounds)))
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return f"{pooled:6.2f} ms {np.median(of_rounds):6.3f} x [{low:.3f}, {high:.3f}]"


@contextlib.contextmanager
def unread_stderr() -> Iterator[None]:
    """What is said goes into a pipe in which there is no room, as it does in `edgecnn run`."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    kept = os.dup(2)
    os.dup2(writer, 2)
    try:
        with spoken_beside():
            yield
    finally:
        os.dup2(kept, 2)
        for descriptor in (reader, writer, kept):
            os.close(descriptor)


def main() -> None:
    """Take turns, and print what they gave."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--runtime", default="litert", help="litert, onnxruntime or openvino")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=3, help="of each turn")
    given = parser.parse_args()
    classifier = load(given.bundle, given.runtime, threads=1)
    shown = ("show",) if "DISPLAY" in os.environ else ()
    outputs = ("jsonl", "record", "snapshots", "mqtt", "web", *shown)
    arms: dict[str, Sequence[str]] = {"none": (), **{one: (one,) for one in outputs}}
    arms["snapshots"] = ("jsonl", "snapshots")  # alone they say nothing: lines would be added
    arms["all"] = outputs
    ages: dict[str, list[list[float]]] = {name: [] for name in arms}
    kept: list[float] = []
    order = random.Random(0)
    with unread_stderr():
        for _ in range(given.rounds):
            for name in order.sample(list(arms), len(arms)):
                found, took = turn(classifier, given.seconds, arms[name])
                ages[name].append(found)
                kept += took if name == "all" else []
    frames = [sum(map(len, turns)) for turns in ages.values()]
    print(
        f"sinks: {classifier.bundle.name}, {classifier.session.engine}, {given.rounds} rounds, "
        f"{min(frames)} to {max(frames)} frames each; p99 of a frame's age, and to `none`"
    )
    for name, turns in ages.items():
        print(f"  {name:9} {ratios(ages['none'], turns)}")
    print(
        f"  the loop was with all its outputs for {np.median(kept):.3f} ms a frame, p99 "
        f"{np.percentile(kept, 99):.3f}, {max(kept):.1f} at most"
    )


if __name__ == "__main__":
    main()
