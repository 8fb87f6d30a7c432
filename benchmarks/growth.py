"""How time grows with parameters, layers and pictures, for analyze, calibrate, export, evaluate.

    python -m benchmarks.growth [--rounds 3] [--plot growth.svg]

Ten times as much in three steps of each, the others as they are; every step in each round, in an
order drawn anew, after a first one that nobody measures. The exponent is the slope of the
logarithms from the smallest to the largest: 1 is linear, 0 is no growth. Networks are chains of
3×3 convolutions on 32×32 pixels, pictures JPEGs of 96×96.
"""

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

STEPS = (1.0, math.sqrt(10), 10.0)
LAYERS, WIDTH, PICTURES = 6, 12, 60
SIDE, FILE_SIDE, CLASSES = 32, 96, 4


@dataclass(frozen=True)
class Size:
    """Of a network and of a folder of pictures."""

    layers: int = LAYERS
    width: int = WIDTH
    pictures: int = PICTURES

    @classmethod
    def of(cls, grows: str, step: float) -> "Size":
        """With one of `AXES` that many times as large."""
        if grows == "layers":
            return cls(layers=round(LAYERS * step))
        if grows == "parameters":
            return cls(width=round(WIDTH * math.sqrt(step)))
        return cls(pictures=round(PICTURES * step))


AXES = {
    "parameters": ("analyze", "export", "evaluate"),
    "layers": ("analyze", "export", "evaluate"),
    "pictures": ("calibrate", "export", "evaluate"),
}
"""What grows, and whom it concerns."""


@dataclass
class Growth:
    """Seconds of one command while one thing grows: by step, one for each round."""

    command: str
    grows: str
    seconds: dict[float, list[float]] = field(default_factory=dict)

    @property
    def medians(self) -> dict[float, float]:
        """Of the rounds."""
        return {step: statistics.median(found) for step, found in sorted(self.seconds.items())}

    @property
    def exponents(self) -> list[float]:
        """In each round."""
        ends = self.seconds[STEPS[0]], self.seconds[STEPS[-1]]
        return [math.log10(large / small) for small, large in zip(*ends, strict=True)]


class Desk:
    """Networks and pictures in a folder, each made once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._models: dict[tuple[int, int], Any] = {}
        self._bundles: dict[Size, Path] = {}
        self._outs = 0

    def model(self, size: Size) -> Any:
        """A chain of convolutions."""
        import keras

        if (key := (size.layers, size.width)) not in self._models:
            keras.utils.set_random_seed(0)
            layers: list[Any] = [keras.Input((SIDE, SIDE, 3))]
            for _ in range(size.layers):
                layers.append(keras.layers.Conv2D(size.width, 3, padding="same", activation="relu"))
            layers += [
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(CLASSES, "softmax"),
            ]
            self._models[key] = keras.Sequential(layers)
        return self._models[key]

    def pictures(self, size: Size) -> Path:
        """Smooth colours with some noise, in a folder for each class."""
        import cv2

        folder = self._folder / f"pictures{size.pictures}"
        rng = np.random.default_rng(0)
        for number in range(0 if folder.exists() else size.pictures):
            into = folder / str(number % CLASSES)
            into.mkdir(parents=True, exist_ok=True)
            coarse = rng.integers(0, 256, (6, 6, 3), np.uint8)
            picture = cv2.resize(coarse, (FILE_SIDE, FILE_SIDE), interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(into / f"{number}.jpg"), picture)
        return folder

    def out(self) -> Path:
        """A folder that is not there yet."""
        self._outs += 1
        return self._folder / f"out{self._outs}"

    def analyze(self, size: Size) -> None:
        """`edgecnn analyze`."""
        import edgecnn

        edgecnn.analyze(self.model(size))

    def calibrate(self, size: Size) -> None:
        """`edgecnn calibrate`, always as many of them."""
        import edgecnn

        edgecnn.calibrate(self.pictures(size), self.out(), count=PICTURES // 2)

    def export(self, size: Size) -> None:
        """`edgecnn export`, int8 in three formats."""
        import edgecnn
        from edgecnn.preprocessing import Preprocessing

        self._bundles[size] = edgecnn.export(
            self.model(size),
            calibration=self.pictures(size),
            labels=[str(n) for n in range(CLASSES)],
            preprocessing=Preprocessing(SIDE, SIDE),
            verdict=False,
            out=self.out(),
        ).path

    def evaluate(self, size: Size) -> None:
        """`edgecnn evaluate` of a bundle in three engines, without the float network."""
        import edgecnn

        own = Size(size.layers, size.width)
        if own not in self._bundles:
            self.export(own)
        edgecnn.evaluate(self._bundles[own], self.pictures(size), reference=False)


def growths(rounds: int) -> list[Growth]:
    """All of `AXES`."""
    rng = np.random.default_rng(0)
    found = {(grows, command): Growth(command, grows) for grows in AXES for command in AXES[grows]}
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        for turn in range(-1, rounds):
            cases = [(key, step) for key in found for step in STEPS]
            for place in rng.permutation(len(cases)):
                (grows, command), step = cases[place]
                call: Callable[[Size], None] = getattr(desk, command)
                size = Size.of(grows, step)
                begun = time.perf_counter()
                call(size)
                if turn >= 0:
                    spent = time.perf_counter() - begun
                    found[grows, command].seconds.setdefault(step, []).append(spent)
    return list(found.values())


def plot(found: list[Growth], to: Path) -> None:
    """A panel for each thing that grows, both scales logarithmic, with linear growth dashed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(AXES), figsize=(10, 3.4), sharey=True)
    for panel, grows in zip(panels, AXES, strict=True):
        for growth in found:
            if growth.grows == grows:
                steps, seconds = zip(*growth.medians.items(), strict=True)
                exponent = statistics.median(growth.exponents)
                panel.plot(steps, seconds, "o-", label=f"{growth.command}, exponent {exponent:.2f}")
                panel.plot(steps, [seconds[0] * s for s in steps], ":", color="grey", lw=0.8)
        panel.set(xscale="log", yscale="log", xlabel=f"{grows}, times")
        panel.set_xticks([1, 10], ["1", "10"])
        panel.legend(fontsize=7)
    panels[0].set_ylabel("seconds")
    figure.tight_layout()
    figure.savefig(to)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plot", type=Path)
    asked = parser.parse_args()
    found = growths(asked.rounds)
    for growth in found:
        seconds = ", ".join(f"{s:.2f}" for s in growth.medians.values())
        low, middle, high = (f(growth.exponents) for f in (min, statistics.median, max))
        print(
            f"{growth.command:10} {growth.grows:11} {seconds} s   exponent {middle:.2f} "
            f"[{low:.2f}, {high:.2f}]"
        )
    if asked.plot:
        plot(found, asked.plot)


if __name__ == "__main__":
    main()
