"""What `run --collect` costs the live loop, and how its memory goes.

    edgecnn export mobilenet_v2 --int8 --weights random
    python -m benchmarks.collecting exports/mobilenet_v2-int8 FILM [--rounds 20] [--seconds 5]
    python -m benchmarks.collecting exports/mobilenet_v2-int8 FILM --frames 100000

A camera of 640x480 at 30 frames a second shows the film again and again, each time in other
light. First it is classified in turns without and with `--collect`, in an order drawn anew for each
round. Printed is a frame's time from its capture to when the loop is done with it, outputs
included: p50 and p99, and the median over rounds of their ratio to the turn without, with its 95%
interval from drawing rounds at random; and how long the loop was with `--collect`.

With `--frames`: so many frames, as fast as they go, by a clock that counts 30 a second: resident
memory by tenths, what was kept, and what it takes on the disk.
"""

import argparse
import random
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import psutil

from edgecnn import inbox
from edgecnn.preprocessing import Frame
from edgecnn.targets.board.target import detect
from edgecnn.targets.captured import Captured
from edgecnn.targets.classifier import Classifier, load
from edgecnn.targets.live.loop import LiveOptions, follow
from edgecnn.targets.live.outputs import Outputs
from edgecnn.targets.live.pulse import Pulse
from edgecnn.targets.live.sinks import Sink
from edgecnn.targets.live.stopping import Stop

FPS, SIZE = 30.0, (640, 480)
LIMIT_BYTES = 20_000_000
FIRST = 20
"""Frames of a turn that come while threads start and buffers are made."""


class Film:
    """A `FrameSource`: a camera in front of which a film runs."""

    uri, live = "film", True
    fps: float | None = FPS

    def __init__(self, frames: list[Frame], *, paced: bool) -> None:
        self._frames, self._paced = frames, paced
        self._index = 0
        self._due = time.perf_counter()
        self._light = np.random.default_rng(0)
        self._gain = 1.0
        self._buffer = np.empty_like(frames[0])

    def read(self) -> Captured:
        """The next frame."""
        place = self._index % len(self._frames)
        if place == 0:
            self._gain = float(self._light.uniform(0.4, 1.3))
        cv2.convertScaleAbs(self._frames[place], self._buffer, self._gain, 0)
        clock = self._index / FPS
        if self._paced:
            self._due = max(self._due + 1 / FPS, time.perf_counter() - 1 / FPS)
            time.sleep(max(0.0, self._due - time.perf_counter()))
            clock = time.perf_counter()
        self._index += 1
        return Captured(self._buffer, self._index - 1, time.time(), clock)

    def close(self) -> None:
        """Nothing is held."""


def frames_of(film: Path) -> list[Frame]:
    """Its frames at the camera's size."""
    capture, found = cv2.VideoCapture(str(film)), list[Frame]()
    while True:
        there, image = capture.read()
        if not there:
            return found
        found.append(np.asarray(cv2.resize(image, SIZE), np.uint8))


@dataclass
class Arm:
    """What one of both gave: by rounds the times in milliseconds."""

    times: list[list[float]] = field(default_factory=list)


def turn(
    classifier: Classifier, source: Film, folder: Path, seconds: float, *, collects: bool
) -> tuple[list[float], list[float]]:
    """The frames' times, and those that the loop was with `--collect`, in milliseconds."""
    stop, times, collecting = Stop(), [], []
    outputs = Outputs(jsonl="/dev/null", collect=folder if collects else None)
    with ExitStack() as held:
        sinks: list[Sink] = outputs.open(held, source, classifier, detect(), stop, Pulse())
        until = time.monotonic() + seconds
        for prediction, captured in follow(
            source, classifier, LiveOptions(), frames=None, stop=stop
        ):
            for sink in sinks:
                start = time.perf_counter()
                sink.write(prediction, captured)
            end = time.perf_counter()
            times.append((end - captured.clock) * 1e3)
            # The last of them is --collect's.
            collecting.append((end - start) * 1e3)
            if time.monotonic() > until:
                break
    return times[FIRST:], collecting[FIRST:] if collects else []


def ratio(without: list[list[float]], collecting: list[list[float]], percent: float) -> str:
    """The median of the rounds' ratios, and its 95% interval."""
    each = [
        np.percentile(b, percent) / np.percentile(a, percent)
        for a, b in zip(without, collecting, strict=True)
    ]
    drawn = np.random.default_rng(0).choice(each, (2000, len(each)))
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return f"{np.median(each):.4f} x [{low:.4f}, {high:.4f}]"


def cost(classifier: Classifier, frames: list[Frame], rounds: int, seconds: float) -> None:
    """The first part; prints it."""
    found: dict[bool, list[list[float]]] = {False: [], True: []}
    spent: list[float] = []
    order = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for collects in order.sample([False, True], 2):
                source = Film(frames, paced=True)
                times, took = turn(classifier, source, Path(folder), seconds, collects=collects)
                found[collects].append(times)
                spent += took
        kept = Counter(one.why for one in inbox.read(Path(folder)))
    for percent in (50, 99):
        both = [np.percentile(np.concatenate(found[one]), percent) for one in (False, True)]
        print(
            f"  p{percent}: {both[0]:.2f} ms, with --collect {both[1]:.2f} ms; "
            f"{ratio(found[False], found[True], percent)}"
        )
    middle = np.median(np.concatenate(found[False]))
    print(
        f"  the loop was with --collect for {np.median(spent):.4f} ms a frame "
        f"({np.median(spent) / middle:.2%} of p50), {np.mean(spent):.4f} on average, p99 "
        f"{np.percentile(spent, 99):.3f}; {len(spent)} frames, kept {dict(kept)}"
    )


def memory(classifier: Classifier, frames: list[Frame], count: int) -> None:
    """The second part; prints it."""
    source, stop, process = Film(frames, paced=False), Stop(), psutil.Process()
    with tempfile.TemporaryDirectory() as name, ExitStack() as held:
        folder = Path(name)
        outputs = Outputs(jsonl="/dev/null", collect=folder, collect_limit_bytes=LIMIT_BYTES)
        sinks = outputs.open(held, source, classifier, detect(), stop, Pulse())
        found = follow(source, classifier, LiveOptions(), frames=count, stop=stop)
        resident, largest = [], 0
        for number, (prediction, captured) in enumerate(found, 1):
            for sink in sinks:
                sink.write(prediction, captured)
            if number % (count // 10) == 0:
                files = [path for path in folder.rglob("*") if path.is_file()]
                largest = max(largest, sum(path.stat().st_size for path in files))
                resident.append(process.memory_info().rss / 1e6)
        kept = Counter(one.why for one in inbox.read(folder))
    print(
        f"  {count} frames: resident by tenths {', '.join(f'{one:.1f}' for one in resident)} MB; "
        f"{largest / 1e6:.1f} MB on the disk at most, of {LIMIT_BYTES / 1e6:.0f}; there are at the "
        f"end {dict(kept)}"
    )


def main() -> None:
    """One of both parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("film", type=Path)
    parser.add_argument("--runtime", default="litert", help="litert, onnxruntime or openvino")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=5, help="of each turn")
    parser.add_argument("--frames", type=int, help="measure memory over so many, instead")
    given = parser.parse_args()
    classifier = load(given.bundle, given.runtime, threads=1)
    print(f"collecting: {classifier.bundle.name}, {classifier.session.engine}")
    if given.frames:
        memory(classifier, frames_of(given.film), given.frames)
    else:
        cost(classifier, frames_of(given.film), given.rounds, given.seconds)


if __name__ == "__main__":
    main()
