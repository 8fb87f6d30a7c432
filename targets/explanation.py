"""Where a network looked: what it is less sure of while a part of the picture is covered.

Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2014. It asks the exported
artifact itself, once for each part, and needs neither gradients nor anything of its insides. A part
is covered with the picture's own blur, which is no edge that the network could take for something.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from edgecnn.head import Head
from edgecnn.opencv import opencv
from edgecnn.preprocessing import Frame
from edgecnn.reliability import log_odds, of_each

PARTS = 4
"""Parts side by side; each is looked at in steps of half its side."""
SMALLEST_SIDE = 448
Infer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
Map = NDArray[np.float32]


def evidence(values: NDArray[np.float32], answer: int, head: Head) -> float:
    """How sure outputs are of one answer, in log odds: of yes for `binary` from 1."""
    if head.kind != "softmax":
        own = float(log_odds(values, head)[0 if head.kind == "binary" else answer])
        return -own if head.kind == "binary" and answer == 0 else own
    probability = float(of_each(values, head)[answer])
    return float(np.log(max(probability, 1e-30)) - np.log(max(1 - probability, 1e-30)))


class Explanation:
    """The map for one picture and one answer, step by step.

    `image` is the network's input `(1, height, width, channels)`.
    """

    def __init__(self, image: NDArray[np.uint8], answer: int, head: Head) -> None:
        self.image, self.answer, self._head = image.copy(), answer, head
        height, width = image.shape[1:3]
        blur = opencv().GaussianBlur(image[0], (0, 0), max(height, width) / 8)
        self._blurred = blur.reshape(image.shape[1:])
        self._steps = self._cover(height, width)
        self._whole: float | None = None
        self._lost = np.zeros((height, width), np.float32)
        self._times = np.zeros((height, width), np.float32)

    def step(self, infer: Infer) -> bool:
        """Ask once; returns whether that was the last time."""
        if self._whole is None:
            self._whole = evidence(infer(self.image), self.answer, self._head)
        part = next(self._steps, None)
        if part is None:
            return True
        covered = self.image.copy()
        covered[0][part] = self._blurred[part]
        lost = self._whole - evidence(infer(covered), self.answer, self._head)
        self._lost[part] += lost
        self._times[part] += 1
        return False

    def finish(self, infer: Infer) -> Map:
        """Ask as often as it takes."""
        while not self.step(infer):
            pass
        return self.map

    @property
    def map(self) -> Map:
        """What was lost by covering each pixel, in log odds, `(height, width)`; below 0: gained."""
        return np.asarray(self._lost / np.maximum(self._times, 1), np.float32)

    @staticmethod
    def _cover(height: int, width: int) -> Iterator[tuple[slice, slice]]:
        # Half a part beyond each edge, so that a corner is covered as often as the middle.
        ends = np.arange(2 * PARTS + 1)
        for y in ends:
            for x in ends:
                top, left = (y - 1) * height / (2 * PARTS), (x - 1) * width / (2 * PARTS)
                rows = slice(max(0, round(top)), round(top + height / PARTS))
                columns = slice(max(0, round(left)), round(left + width / PARTS))
                yield rows, columns


def overlay(image: NDArray[np.uint8], found: Map) -> Frame:
    """The network's input `(1, height, width, channels)` with a map over it, BGR.

    Warm is what speaks for the answer; what speaks against it is left as it is.
    """
    cv2 = opencv()
    picture = image[0]
    if picture.shape[2] == 1:
        canvas = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    else:
        canvas = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    scale = max(1, -(-SMALLEST_SIDE // min(canvas.shape[:2])))
    size = (canvas.shape[1] * scale, canvas.shape[0] * scale)
    canvas = cv2.resize(canvas, size, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    speaks = np.maximum(found, 0)
    speaks = cv2.resize(speaks / max(float(speaks.max()), 1e-6), size)
    speaks = cv2.GaussianBlur(speaks, (0, 0), min(size) / (6 * PARTS))
    speaks = speaks / max(float(speaks.max()), 1e-6)
    heat = cv2.applyColorMap((255 * speaks).astype(np.uint8), cv2.COLORMAP_TURBO)
    weight = 0.65 * speaks[..., None]
    # Grey beneath, so that no colour of the picture is taken for one of the map.
    grey = canvas.mean(axis=2, keepdims=True)
    return np.asarray((1 - weight) * (0.3 * canvas + 0.7 * grey) + weight * heat, np.uint8)
