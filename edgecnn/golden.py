"""Golden vectors: a few pictures with the answers they got at export.

Whoever opens a bundle runs them first, so that a broken engine, an int8 kernel that overflows on
this processor, or another way of resizing is found before a robot moves.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgecnn.errors import BundleError, RuntimeUnavailable
from edgecnn.opencv import opencv
from edgecnn.preprocessing import Frame, FramePreparer, Preprocessing

FILE = "golden.npz"
COUNT = 2
FRAME_SIDE = 256

ANSWER_TOLERANCE = 0.1
"""Of a probability. Engines round a little differently from processor to processor."""
PIXEL_TOLERANCE = 2.0
"""Mean difference in levels. OpenCV's releases resize a little differently."""


@dataclass(frozen=True)
class Golden:
    """What was put in and what came out."""

    frame: Frame
    """A small frame, uint8 BGR; the first of `images` was made from it."""
    images: NDArray[np.uint8]
    """Network input (count, height, width, channels)."""
    answers: dict[str, NDArray[np.float32]]
    """By format, what the network gave, probabilities (count, outputs); see `edgecnn.head`."""

    @classmethod
    def make(
        cls,
        frames: Sequence[Frame],
        preprocessing: Preprocessing,
        answer: Callable[[str, NDArray[np.uint8]], NDArray[np.float32]],
        formats: Sequence[str],
    ) -> Self:
        """From BGR frames; `answer(format, image)` is what that artifact says of one input."""
        cv2 = opencv()
        first = frames[0]
        factor = min(1.0, FRAME_SIDE / max(first.shape[:2]))
        size = tuple(max(1, round(side * factor)) for side in first.shape[1::-1])
        small = np.asarray(cv2.resize(first, size, interpolation=cv2.INTER_AREA), np.uint8)
        prepare = FramePreparer(preprocessing)
        images = np.concatenate([prepare(frame).copy() for frame in (small, *frames[1:COUNT])])
        answers = {
            name: np.stack([answer(name, image[None]) for image in images]) for name in formats
        }
        return cls(small, images, answers)

    def write(self, folder: Path) -> None:
        """Write `golden.npz` into a bundle."""
        arrays: dict[str, Any] = {"frame": self.frame, "images": self.images}
        arrays |= {f"answers_{name}": values for name, values in self.answers.items()}
        np.savez_compressed(folder / FILE, **arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `write` wrote; raises `BundleError` on anything else."""
        try:
            with np.load(path, allow_pickle=False) as found:
                return cls(
                    found["frame"],
                    found["images"],
                    {
                        key.removeprefix("answers_"): found[key]
                        for key in found.files
                        if key.startswith("answers_")
                    },
                )
        except (KeyError, ValueError, OSError) as error:
            raise BundleError(f"{path} cannot be read: {error}. Export again.") from None

    def check(
        self,
        format: str,
        engine: str,
        prepare: Callable[[Frame], NDArray[np.uint8]],
        infer: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    ) -> None:
        """Raise `RuntimeUnavailable` if pixels or answers are not those of the export."""
        made = prepare(self.frame)[0].astype(np.int16)
        difference = float(np.abs(made - self.images[0]).mean())
        if difference > PIXEL_TOLERANCE:
            raise RuntimeUnavailable(
                f"Pictures are prepared differently here than at export ({difference:.1f} levels "
                "on average): this OpenCV resizes or swaps colours in another way. Update it, or "
                "go on without this check (self_check=False, --no-self-check)."
            )
        for image, expected in zip(self.images, self.answers[format], strict=True):
            error = float(np.abs(infer(image[None]) - expected).max())
            if not error <= ANSWER_TOLERANCE:  # NaN is an error too
                raise RuntimeUnavailable(
                    f"{engine} gives other answers here than at export (a probability is off by "
                    f"{error:.2f}): its int8 kernels are wrong on this processor, or its version "
                    "is. x86 without VNNI: export with --weight-bits 7. Otherwise try another "
                    "--runtime, or go on without this check (self_check=False, --no-self-check)."
                )
