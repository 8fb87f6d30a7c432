"""The live loop on a 640x480 synthetic camera: what it costs beyond the engine itself.

    edgecnn export mobilenet_v2 --int8 --weights random
    python -m benchmarks.live exports/mobilenet_v2-int8 [--threads 1] [--only speed]

- speed: on every frame of a camera at 30 a second, in turn and in changing order: edgecnn's
  frame-to-label time, the engine's own call on a picture that is already there, that with one
  resize of OpenCV's before it (bilinear, or by area, which does not alias), and the usual recipe
  (OpenCV resize, float32 normalisation, quantisation, engine, argmax);
- age: a camera at 30 frames a second, an engine slowed to 5: the age of the frames answered;
- memory: resident memory over 100,000 frames with decisions and JSON lines;
- viewers: time a frame costs the loop with a web page nobody looks at, and with 20 viewers.

One process and one run for each comparison, so that ratios mean something on a busy machine.
"""

import argparse
import contextlib
import gc
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

from benchmarks.engines import ENGINES
from edgecnn.targets.board.target import detect
from edgecnn.targets.captured import Captured
from edgecnn.targets.classifier import Classifier, load
from edgecnn.targets.engines import probe
from edgecnn.targets.engines.session import Session
from edgecnn.targets.live.decisions import DecisionRule
from edgecnn.targets.live.loop import LiveOptions, follow
from edgecnn.targets.live.sinks.jsonl import JsonLines
from edgecnn.targets.live.sources import open_frames
from edgecnn.targets.live.sources.synthetic import Synthetic

CAMERA = "synthetic:640x480@30"
OURS, BARE = "edgecnn, frame to label", "the engine's own call"
WARM_UP = 30
SLOW_S = 0.2
VIEWERS = 20


def captured(count: int, camera: str = CAMERA) -> Iterator[Captured]:
    """Frames of the camera, after a warm-up nobody measures."""
    with contextlib.closing(open_frames(camera)) as source:
        for _ in range(count):
            frame = source.read()
            assert frame is not None
            yield frame


def usual_recipe(classifier: Classifier) -> Callable[[np.ndarray], int]:
    """What most scripts do: float32 arithmetic on every pixel, then quantise it back."""
    p = classifier.bundle.preprocessing
    mean, std = np.array(p.mean, np.float32), np.array(p.std, np.float32)

    def classify(frame: np.ndarray) -> int:
        image = cv2.cvtColor(cv2.resize(frame, (p.width, p.height)), cv2.COLOR_BGR2RGB)
        normalised = (image.astype(np.float32) - mean) / std
        quantised = np.clip(np.round(normalised * std + mean), 0, 255).astype(np.uint8)
        return int(np.argmax(classifier.session.infer(quantised[None])))

    return classify


def speeds(
    bundle: Path, runtime: str, threads: int, frames: int, camera: str = CAMERA
) -> dict[str, list[float]]:
    """Milliseconds for each frame, frame to label and by `BARE` and what else people do."""
    classifier = load(bundle, runtime, threads)
    model = classifier.bundle.model_file(
        {"litert": "tflite", "onnxruntime": "onnx", "openvino": "openvino"}[runtime]
    )
    picture = np.random.default_rng(0).integers(0, 255, classifier.session.input_shape, np.uint8)
    # An engine of its own for each: weights that another left in the cache help nobody.
    bare = ENGINES[runtime](model, threads)
    bare.show(picture)
    recipe = usual_recipe(load(bundle, runtime, threads))
    size = classifier.session.input_shape[2:0:-1]

    def resized(how: int) -> Callable[[Captured], Any]:
        return lambda frame: (cv2.resize(frame.image, size, interpolation=how), bare.invoke())

    contenders: dict[str, Callable[[Captured], Any]] = {
        OURS: classifier.predict,
        BARE: lambda _: bare.invoke(),
        "that and a bilinear resize": resized(cv2.INTER_LINEAR),
        "that and a resize by area": resized(cv2.INTER_AREA),
        "usual float32 recipe": lambda frame: recipe(frame.image),
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    order = list(contenders)
    for index, frame in enumerate(captured(frames + WARM_UP, camera)):
        order = [*order[1:], order[0]]
        for name in order:
            started = time.perf_counter()
            contenders[name](frame)
            if index >= WARM_UP:
                times[name].append((time.perf_counter() - started) * 1e3)
    return times


def speed(bundle: Path, runtime: str, threads: int, frames: int) -> None:
    """Say how fast each was."""
    times = speeds(bundle, runtime, threads, frames)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"speed: {bundle.name}, {runtime}, threads: {threads}, frames: {frames}")
    for name, median in medians.items():
        ratio = median / medians[BARE]
        print(f"  {name:26} median {median:7.3f} ms   {ratio:5.2f} x the engine's own call")


class SlowSession:
    """An engine that takes 200 ms."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.engine, self.threads = session.engine, session.threads
        self.input_shape, self.classes = session.input_shape, session.classes
        self.features = session.features

    def infer(self, image: np.ndarray, features: np.ndarray | None = None) -> np.ndarray:
        """Sleep, then infer."""
        time.sleep(SLOW_S)
        return self._session.infer(image, features)


def age(bundle: Path, runtime: str, seconds: float) -> None:
    """Frames must not get older while the engine is slower than the camera."""
    classifier = load(bundle, runtime)
    classifier.session = SlowSession(classifier.session)
    stop = threading.Event()
    ages, inferences = [], []
    with contextlib.closing(open_frames(CAMERA)) as source:
        threading.Timer(seconds, stop.set).start()
        for prediction, _ in follow(source, classifier, LiveOptions(), frames=None, stop=stop):
            ages.append(prediction.latency_ms.age)
            inferences.append(prediction.latency_ms.inference)
    limit = 2 * 1000 / 30 + statistics.median(inferences)
    half = len(ages) // 2
    print(
        f"age: {len(ages)} answers in {seconds:g} s, inference {statistics.median(inferences):.0f} "
        f"ms: frames were {statistics.median(ages[:half]):.0f} ms old in the first half, "
        f"{statistics.median(ages[half:]):.0f} in the second, {max(ages):.0f} at most; two frame "
        f"intervals and an inference are {limit:.0f}"
    )


def memory(frames: int) -> None:
    """Resident memory after 2,000 frames and at the end."""
    classifier = load(probe.bundle("colours").path, threads=1)
    options = LiveOptions(rule=DecisionRule("exponential:0.5", 0.5, 0.1))
    process, start = psutil.Process(), 0
    lines = JsonLines(os.devnull)
    stop = threading.Event()
    for count, (prediction, frame) in enumerate(
        follow(Synthetic(), classifier, options, frames=frames, stop=stop), start=1
    ):
        lines.write(prediction, frame)
        if count == 2000:
            gc.collect()
            start = process.memory_info().rss
    gc.collect()
    grown = process.memory_info().rss - start
    lines.close()
    print(
        f"memory: {start / 1e6:.1f} MB after 2,000 frames, {grown / 1e6:+.2f} MB after {frames:,}"
    )


WATCH = """
import sys, threading, urllib.request
def watch(url):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url) as stream:
        while stream.read1(65536):
            pass
for n in range(int(sys.argv[2])):
    for path in ("picture.mjpeg", "status"):
        threading.Thread(target=watch, args=(sys.argv[1] + path,), daemon=True).start()
sys.stdin.read()
"""


def viewers(bundle: Path, runtime: str, rounds: int) -> None:
    """The loop's time for a frame, all outputs included, with nobody and with 20 watching."""
    from edgecnn.targets.live.sinks.webpage import WebPage

    # One thread for the engine: the viewers are on this machine too, where they would not be.
    classifier = load(bundle, runtime, threads=1)
    page = WebPage("127.0.0.1:0", classifier, detect())
    times: dict[int, list[float]] = {0: [], VIEWERS: []}
    with contextlib.closing(page), contextlib.closing(open_frames(CAMERA)) as source:
        for count in (0, VIEWERS) * rounds:
            with subprocess.Popen(
                [sys.executable, "-c", WATCH, page.url, str(count)], stdin=subprocess.PIPE
            ) as watching:
                measured = 0
                while measured < 5 * 30:
                    frame = source.read()
                    assert frame is not None
                    started = time.perf_counter()
                    page.write(classifier.predict(frame), frame)
                    if page.viewers == count:
                        times[count].append((time.perf_counter() - started) * 1e3)
                        measured += 1
                watching.communicate()
    nobody, many = (statistics.median(values) for values in times.values())
    print(
        f"viewers: the loop takes {nobody:.3f} ms a frame with nobody, {many:.3f} with {VIEWERS} "
        f"viewers: {many / nobody - 1:+.1%}"
    )


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--runtime", default="litert", help="litert, onnxruntime or openvino")
    parser.add_argument("--threads", type=int, default=1, help="of the engine, for speed")
    parser.add_argument("--only", choices=("speed", "age", "memory", "viewers"))
    parser.add_argument("--seconds", type=float, default=60, help="of the age measurement")
    given = parser.parse_args()
    parts: dict[str, Callable[[], None]] = {
        "speed": lambda: speed(given.bundle, given.runtime, given.threads, frames=600),
        "age": lambda: age(given.bundle, given.runtime, given.seconds),
        "memory": lambda: memory(frames=100_000),
        "viewers": lambda: viewers(given.bundle, given.runtime, rounds=4),
    }
    for name, measure in parts.items():
        if given.only in (None, name):
            measure()


if __name__ == "__main__":
    main()
