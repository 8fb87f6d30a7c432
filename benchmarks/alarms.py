"""How rare false alarms are, and how soon a change is told.

    python -m benchmarks.alarms BUNDLE --data SOURCE [--new NAME=DIR ...] [--streams 24]

`SOURCE` is what `edgecnn evaluate` takes: labelled pictures. A stream shows one after the other,
each for five seconds on average, and the alarm looks twice a second. Answers are ONNX Runtime's.

- without change: each of so many streams of 30 days draws its own held-out pictures among those of
  `SOURCE`, 500 or half of them, and shows the others;
- with change: the bundle's own held-out pictures, twenty minutes as usual, then what
  `imagecorruptions` (ImageNet-C's functions) does to the pictures in five severities, less and less
  light, other labels, and pictures of other things (`--new`). Ten streams each;
- a fixed camera that is moved by 2 to 32 of 256 pixels, and one that stands still.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.answers import Answered, answers, labelled
from benchmarks.strangers import pictures_of
from edgecnn.binomial import upper_bound
from edgecnn.bundle import Bundle
from edgecnn.preprocessing import FramePreparer
from edgecnn.reliability import Reliability, log_odds, prominence
from edgecnn.targets.live.alarm import AlarmOptions, Watch
from edgecnn.targets.live.alarm.view import View
from edgecnn.usual import Usual, look, saying

STAY_S, STEP_S, WINDOW = 5.0, 0.5, 40
"""How long a picture is shown on average; between two samples; samples of a window."""
DAYS = 30.0
MOST = 2000
"""Pictures that a stream is made of."""
FEW = 60
"""Those that are corrupted."""
RUNS = 10
WINDOWS = 60
"""Twenty minutes."""
CORRUPTIONS = (
    "gaussian_noise",
    "defocus_blur",
    "motion_blur",
    "brightness",
    "contrast",
    "pixelate",
    "jpeg_compression",
)
LIGHT = (0.5, 0.3, 0.2, 0.1, 0.05)
SHIFTS = (2, 4, 8, 16, 32)
FEW_WINDOWS = 15


def main() -> None:
    """Parse and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", required=True, help="labelled pictures")
    parser.add_argument("--new", action="append", default=[], metavar="NAME=DIR")
    parser.add_argument("--streams", type=int, default=24)
    asked = parser.parse_args()
    bundle = Bundle.load(asked.bundle)
    images, _ = labelled(asked.data, bundle)
    images = images[np.random.default_rng(2).permutation(len(images))]
    if asked.streams:
        without_change(bundle, images, asked.streams)
    world = World.of(bundle, images[:MOST])
    prepare = FramePreparer(bundle.preprocessing)
    folders = (other.partition("=")[::2] for other in asked.new)
    new = {name: [prepare(f)[0].copy() for f in pictures_of(Path(d))] for name, d in folders}
    for name, pictures in (changes(images[:MOST], world.labels) | new).items():
        with_change(bundle, name, world, World.of(bundle, np.stack(pictures)))
    shown = pictures_of(Path(asked.new[0].partition("=")[2])) if asked.new else list(images)
    fixed(shown[:: max(1, len(shown) // 4)][:4])


class World:
    """What an alarm is told of pictures."""

    def __init__(self, measures: list[dict[str, float]], labels: list[int]) -> None:
        self.measures, self.labels = measures, labels

    @classmethod
    def of(cls, bundle: Bundle, images: np.ndarray) -> "World":
        """By the bundle's own held-out pictures."""
        known = Reliability.load(bundle, "onnx")
        assert known is not None
        return cls.known(bundle, images, _asked(bundle, images), known)

    @classmethod
    def known(
        cls, bundle: Bundle, images: np.ndarray, found: Answered, known: Reliability
    ) -> "World":
        """By others."""
        measures = []
        for n, image in enumerate(images):
            features = None if found.features is None else found.features[n]
            _, share = known.read(found.values[n], bundle.head, features)
            measures.append(look(image) | saying(found.values[n], bundle.head, share))
        return cls(measures, bundle.head.decide(found.values).tolist())

    def windows(self, watch: Watch, count: int, rng: Any) -> Iterator[tuple[Any, Any]]:
        """What is raised after each."""
        signals = np.array([watch.signals(measures) for measures in self.measures], float)
        last = int(rng.integers(len(signals)))
        for _ in range(count):
            others = rng.integers(len(signals), size=WINDOW)
            changes = rng.random(WINDOW) > np.exp(-STEP_S / STAY_S)
            place = np.maximum.accumulate(np.where(changes, np.arange(WINDOW), -1))
            shown = np.where(place < 0, last, others[place])
            last = shown[-1]
            watch.conclude(signals[shown[WINDOW // 2 :]].mean(axis=0), self.labels[last])
            yield watch.raised


def _asked(bundle: Bundle, images: np.ndarray) -> Answered:
    alone = replace(bundle, artifacts={"onnx": bundle.artifacts["onnx"]})
    return next(answers(alone, images))


def without_change(bundle: Bundle, images: np.ndarray, streams: int) -> None:
    """False alarms, over held-out pictures drawn anew for each stream."""
    found, options = _asked(bundle, images), AlarmOptions(DAYS)
    known = Reliability.load(bundle, "onnx")
    assert known is not None
    count = min(500, len(images) // 2)
    counts = []
    for stream in range(streams):
        rng = np.random.default_rng(stream)
        order = rng.permutation(len(images))
        own, others = order[:count], order[count:][:MOST]
        if known.neighbours is not None and found.features is not None:
            familiar = np.array([known.neighbours.nearness(one) for one in found.features[own]])
        else:
            familiar = prominence(log_odds(found.values[own], bundle.head))
        drawn = replace(known, familiar=np.sort(familiar))
        usual = Usual.of(images[own], found.values[own], bundle.head, drawn)
        features = None if found.features is None else found.features[others]
        part = replace(found, values=found.values[others], features=features)
        world = World.known(bundle, images[others], part, drawn)
        watch, up, false = Watch(usual, bundle.head, options), False, []
        for raised in world.windows(watch, int(options.windows), rng):
            if any(raised) and not up:
                false.append(raised)
            up = any(raised)
        counts.append(len(false))
        print(f"stream {stream}: {len(false)} false alarms in {DAYS:g} days {false}", flush=True)
    some = sum(one > 0 for one in counts)
    print(
        f"{streams} streams of {DAYS:g} days, {count} held-out pictures each: {sum(counts)} false "
        f"alarms, stated: at most {streams} on average; with any: {some} of {streams} streams, in "
        f"truth at most {upper_bound(some, streams, 0.05):.0%} of such (95%)"
    )


def changes(images: np.ndarray, labels: list[int]) -> dict[str, list[np.ndarray]]:
    """Pictures after each."""
    some = images[:FEW]
    found = {
        f"{kind} {severity}": [corrupted(image, kind, severity) for image in some]
        for kind in CORRUPTIONS
        for severity in range(1, 6)
    }
    found |= {f"light x {part}": [(i * part).astype(np.uint8) for i in images] for part in LIGHT}
    rng = np.random.default_rng(1)
    found["noise alone"] = [rng.integers(0, 256, some[0].shape, np.uint8) for _ in range(FEW)]
    found["upside down"] = [np.ascontiguousarray(image[::-1]) for image in images]
    found["one label alone"] = [
        image for image, own in zip(images, labels, strict=True) if own == labels[0]
    ]
    return found


def corrupted(image: np.ndarray, kind: str, severity: int) -> np.ndarray:
    """As in ImageNet-C."""
    import imagecorruptions  # type: ignore[import-untyped,import-not-found,unused-ignore]

    coloured = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    found = imagecorruptions.corrupt(coloured, corruption_name=kind, severity=severity)
    return np.ascontiguousarray(found[..., : image.shape[2]])


def with_change(bundle: Bundle, name: str, before: World, after: World) -> None:
    """Seconds until it is told, and as what."""
    usual = Usual.load(bundle, "onnx")
    assert usual is not None
    delays, said = [], []
    for run in range(RUNS):
        rng = np.random.default_rng(run)
        watch = Watch(usual, bundle.head, AlarmOptions(DAYS))
        for _ in before.windows(watch, WINDOWS, rng):
            pass
        for n, (camera, scene) in enumerate(after.windows(watch, WINDOWS, rng), start=1):
            if camera or scene:
                delays.append(n * WINDOW * STEP_S)
                kind = "camera" if camera else "scene"
                said.append(f"{kind}: {', '.join(camera or scene)}")
                break
    when = "never in 20 minutes"
    if delays:
        when = f"{np.median(delays):.0f} s median, {max(delays):.0f} s at most"
    most = max(set(said), key=said.count) if said else ""
    print(f"{name:24} {len(delays):2} of {RUNS} told, {when}  {most}", flush=True)


def fixed(pictures: list[np.ndarray]) -> None:
    """A camera on a stand, with a sensor's noise: moved after five minutes, or standing still."""
    rng = np.random.default_rng(0)

    def seen(picture: np.ndarray, left: int) -> np.ndarray:
        wall = np.atleast_3d(cv2.resize(picture, (320, 320), interpolation=cv2.INTER_AREA))
        view = wall[:256, left : left + 256]
        return np.clip(view + rng.normal(0, 2, view.shape), 0, 255).astype(np.uint8)

    def told(picture: np.ndarray, shift: int) -> float | None:
        view = View()
        for n in range(2 * FEW_WINDOWS):
            for _ in range(WINDOW):
                view.add(seen(picture, 0 if n < FEW_WINDOWS else shift))
            if view.moved():
                return (n - FEW_WINDOWS + 1) * WINDOW * STEP_S
        return None

    for shift in SHIFTS:
        delays = [told(picture, shift) for picture in pictures]
        print(f"a fixed camera moved by {shift} of 256 pixels: {delays} s", flush=True)
    view, still, count = View(), seen(pictures[0], 0), 0
    while not view.frozen:
        view.add(still)
        count += 1
    print(f"frozen: {(count - 1) * STEP_S:.0f} s")


if __name__ == "__main__":
    main()
