"""What it costs to say what answers are worth: frame to label, in one process and in turn.

    python -m benchmarks.answers_cost BUNDLE [WITH_FEATURES] [--runtime onnxruntime] [--frames 3000]

Frame to label as it was before any of it (labels and the engine's own probabilities) beside all of
it: calibrated, coverage, rejection and alarm; likewise of a second bundle, exported with
`--features`, by them. Every frame goes through each, in an order drawn anew. The ratio is the
median of those of each frame, with a bootstrap 95% interval over them; by the wall's clock, and by
the processor's own, which counts only this thread and so hardly notices what else the machine does
(one engine thread). To the alarm the frames come from a camera of 30 a second, of which it looks at
two: its own time is told as the mean over all frames.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.bundle import Bundle
from edgecnn.reliability import Coverage, Reliability
from edgecnn.targets.answer import AnswerOptions, Said, reader
from edgecnn.targets.captured import Captured
from edgecnn.targets.classifier import Classifier, load
from edgecnn.targets.engines import runtimes
from edgecnn.targets.live.alarm import AlarmOptions, Watch
from edgecnn.usual import Usual

WARM_UP = 50
FPS = 30


@dataclass
class Way:
    """One way from a frame to its label."""

    name: str
    classifier: Classifier
    watch: Watch | None = None

    def __call__(self, frame: np.ndarray, clock: float) -> tuple[float, float, float, float]:
        """Seconds by the wall's clock and by this thread's; those of the outputs and the alarm."""
        wall, own = time.perf_counter(), time.thread_time()
        prediction = self.classifier.predict(Captured.now(frame, 0))
        answered = time.thread_time()
        if self.watch is not None:
            self.watch(prediction, self.classifier.image[0], clock)
        end = time.thread_time()
        spent = time.perf_counter() - wall, end - own
        return *spent, prediction.latency_ms.postprocess / 1e3, end - answered


def main() -> None:
    """Parse and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("with_features", type=Path, nargs="?")
    parser.add_argument("--runtime", default="onnxruntime")
    parser.add_argument("--frames", type=int, default=3000)
    asked = parser.parse_args()
    bundles = list(filter(None, (asked.bundle, asked.with_features)))
    ways, times = measured(bundles, asked.runtime, asked.frames)
    rng = np.random.default_rng(0)
    for place, way in enumerate(ways):
        show(way, times[:, place], times[:, place - place % 2], rng)


def measured(
    bundles: Sequence[Path], runtime: str, frames: int
) -> tuple[list[Way], NDArray[np.float64]]:
    """Without and with all of it for each bundle, and `(frames, ways, 4)` of what a way says."""
    ways: list[Way] = []
    for bundle in bundles:
        before, all_of_it = plain(bundle, runtime), full(bundle, runtime)
        # Two copies of the weights would differ in what the processor's cache holds.
        all_of_it.classifier.session = before.classifier.session
        ways += [before, all_of_it]
    rng = np.random.default_rng(0)
    shown = [rng.integers(0, 256, (480, 640, 3), np.uint8) for _ in range(8)]
    times = np.empty((frames, len(ways), 4))
    for n in range(-WARM_UP, frames):
        for place in rng.permutation(len(ways)):
            spent = ways[place](shown[n % 8], n / FPS)
            if n >= 0:
                times[n, place] = spent
    return ways, times


def plain(bundle: Path, runtime: str) -> Way:
    """As before any of this."""
    classifier = load(bundle, runtime, 1, answers=AnswerOptions(raw=True))
    read = reader(classifier.head, classifier.bundle.labels, 5)
    classifier._say = lambda values, _: Said(values, *read(values))
    return Way("before", classifier)


def full(bundle: Path, runtime: str) -> Way:
    """With everything that can be asked for."""
    loaded = Bundle.load(bundle)
    known = Reliability.load(loaded, runtimes.get(runtime).format)
    assert known is not None
    # Coverage is of pictures with labels, which an export may have had none of.
    coverage = Coverage(0.9) if len(known.true) else None
    asked = AnswerOptions(coverage=coverage, reject=0.05)
    classifier = load(bundle, runtime, 1, answers=asked)
    usual = Usual.load(classifier.bundle, classifier.format)
    assert usual is not None
    beside = " and features" if classifier.bundle.features else ""
    return Way(f"all of it{beside}", classifier, Watch(usual, classifier.head, AlarmOptions(30)))


def show(way: Way, times: np.ndarray, before: np.ndarray, rng: Any) -> None:
    """Medians, their ratios, and what reading the outputs and the alarm take of them."""
    said = []
    for clock, name in enumerate(("wall", "thread")):
        own = times[:, clock]
        ratios = own / before[:, clock]
        drawn = [np.median(rng.choice(ratios, len(ratios))) for _ in range(1000)]
        low, high = np.quantile(drawn, (0.025, 0.975))
        ratio = np.median(ratios)
        said.append(f"{name} {1e3 * np.median(own):.3f} ms, x {ratio:.4f} [{low:.4f}, {high:.4f}]")
    reading = 1e6 * np.median(times[:, 2])
    said.append(f"of that the outputs {reading:.0f} us")
    if way.watch is not None:
        alarm = times[:, 3].mean()
        of_frame = alarm / np.median(before[:, 1])
        said.append(f"the alarm {1e6 * alarm:.0f} us on average, {of_frame:.2%} of a frame")
    print(f"{way.name:22} n {len(times)}  {'; '.join(said)}")


if __name__ == "__main__":
    main()
