"""Golden vectors: a few pictures with the answers they got at export, and what they belong to.

Whoever opens a bundle runs them first, so that another network's labels, a model of another
calibration, another way of resizing, a broken engine or one whose next version computes otherwise,
or an int8 kernel that overflows on this processor is found before a robot moves.
`edgecnn.export.golden_choice` chooses pictures on which mistakes show.
"""

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from edgecnn.bundle import Bundle
from edgecnn.errors import BundleError, RuntimeUnavailable
from edgecnn.npz import read_arrays
from edgecnn.opencv import opencv
from edgecnn.preprocessing import Frame, FramePreparer, Preprocessing

FILE = "golden.npz"
FRAME_SIDE = 256

ANSWER_TOLERANCE = 0.1
"""Of a probability, at most. Engines round a little differently from processor to processor."""
PIXEL_TOLERANCE = 2.0
"""Mean difference in levels. OpenCV's releases resize a little differently."""
WAY_ON = "or go on without this check (self_check=False, --no-self-check)."

Images = NDArray[np.uint8]
Answers = NDArray[np.float32]


class Origin(NamedTuple):
    """What the answers belong to."""

    labels: tuple[str, ...]
    head: str
    """Its kind."""
    models: dict[str, str]
    """By format, the artifact's hash."""
    engines: dict[str, str]
    """By format, name and version of the engine that gave the answers."""

    def check(self, bundle: Bundle, format: str) -> None:
        """Raise `BundleError` for a bundle that the answers do not belong to."""
        if bundle.labels != self.labels:
            raise BundleError(
                f"{bundle.path}: {_difference(self.labels, bundle.labels)}. Its answers would go "
                "by wrong names: copy the whole bundle again, or export again."
            )
        if bundle.head.kind != self.head:
            raise BundleError(
                f"{bundle.path} has the head '{bundle.head.kind}', and had '{self.head}' at "
                "export: copy the whole bundle again, or export again."
            )
        if self.models.get(format, "") != bundle.artifacts[format].sha256:
            raise BundleError(
                f"{bundle.path}: its {format} model is not the one that its golden pictures were "
                "answered by, but of another export (other weights, another calibration): copy "
                "the whole bundle again, or export again."
            )


@dataclass(frozen=True)
class Golden:
    """What was put in and what came out."""

    frame: Frame
    """A small frame, uint8 BGR; the first of `images` was made from it."""
    images: Images
    """Network input (count, height, width, channels)."""
    answers: dict[str, Answers]
    """By format, what the network gave, probabilities (count, outputs); see `edgecnn.head`."""
    tolerance: float = ANSWER_TOLERANCE
    """Of a probability; less where mistakes would change this network's answers by less."""
    card: tuple[Frame, Images] | None = None
    """`test_card` and what preparing it gave; None in bundles of before there was one."""
    origin: Origin | None = field(default=None)
    """None in bundles of before it was kept."""

    @classmethod
    def make(
        cls,
        frames: Sequence[Frame],
        preprocessing: Preprocessing,
        answer: Callable[[str, Images], Answers],
        formats: Sequence[str],
        *,
        tolerance: float = ANSWER_TOLERANCE,
        origin: Origin | None = None,
    ) -> Self:
        """From BGR frames; `answer(format, image)` is what that artifact says of one input."""
        first, *others = frames
        first = small(first)
        prepare = FramePreparer(preprocessing)
        images = np.concatenate([prepare(frame).copy() for frame in (first, *others)])
        answers = {
            name: np.stack([answer(name, image[None]) for image in images]) for name in formats
        }
        card = test_card(preprocessing)
        return cls(first, images, answers, tolerance, (card, prepare(card)[0].copy()), origin)

    def write(self, folder: Path) -> None:
        """Write `golden.npz` into a bundle."""
        arrays: dict[str, Any] = {"frame": self.frame, "images": self.images}
        arrays |= {f"answers_{name}": values for name, values in self.answers.items()}
        arrays["tolerance"] = self.tolerance
        if self.card is not None:
            arrays["card"], arrays["card_prepared"] = self.card
        if self.origin is not None:
            arrays |= {"labels": np.array(self.origin.labels), "head": self.origin.head}
            for name in ("models", "engines"):
                for format, value in getattr(self.origin, name).items():
                    arrays[f"{name}_{format}"] = value
        with zipfile.ZipFile(folder / FILE, "w") as archive:
            for name, value in arrays.items():
                member = zipfile.ZipInfo(f"{name}.npy")
                # Photographs shrink by a fifth, and every start would wait until they are unpacked.
                photographed = name in ("frame", "images", "card_prepared")
                member.compress_type = zipfile.ZIP_STORED if photographed else zipfile.ZIP_DEFLATED
                with archive.open(member, "w") as stream:
                    np.lib.format.write_array(stream, np.asarray(value), allow_pickle=False)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `write` wrote; raises `BundleError` on anything else."""
        held = read_arrays(path)
        try:
            golden = cls(held["frame"], held["images"], _by_format(held, "answers_"))
            golden._check_shapes()
            more: dict[str, Any] = {}
            if "tolerance" in held:
                more["tolerance"] = float(held["tolerance"])
            if "card" in held:
                more["card"] = held["card"], held["card_prepared"]
            if "labels" in held:
                more["origin"] = Origin(
                    tuple(held["labels"].tolist()),
                    str(held["head"]),
                    {name: str(value) for name, value in _by_format(held, "models_").items()},
                    {name: str(value) for name, value in _by_format(held, "engines_").items()},
                )
        except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
            raise BundleError(f"{path} cannot be read: {error}. Export again.") from error
        known = {one.name: getattr(golden, one.name) for one in fields(cls)}
        return cls(**known | more)

    def check(
        self,
        bundle: Bundle,
        format: str,
        engine: str,
        prepare: Callable[[Frame], Images],
        infer: Callable[[Images], Answers],
    ) -> None:
        """Hold a bundle, in one format, and an engine to what was at export.

        Raises `BundleError` where labels, head or model are others, `RuntimeUnavailable` where
        pixels or answers are.
        """
        if self.origin is not None:
            self.origin.check(bundle, format)
        pairs = [(self.frame, self.images[0]), *([self.card] if self.card else [])]
        for frame, expected in pairs:
            made = prepare(frame)[0]
            difference = float(np.mean(apart(made, expected)))
            if difference > PIXEL_TOLERANCE:
                raise RuntimeUnavailable(
                    f"Pictures are prepared differently here than at export ({difference:.1f} "
                    "levels on average): the manifest's preprocessing was changed, or this OpenCV "
                    "resizes or swaps colours in another way. Copy the bundle again, update "
                    f"OpenCV, {WAY_ON}"
                )
        if format not in self.answers:
            raise BundleError(f"{bundle.path} has no golden answers for {format}: export again.")
        for image, expected in zip(self.images, self.answers[format], strict=True):
            error = float(np.max(apart(infer(image[None]), expected)))
            if not error <= self.tolerance:  # NaN is an error too
                then = self.origin.engines.get(format) if self.origin else None
                raise RuntimeUnavailable(
                    f"{engine} gives other answers here than {f'{then} ' if then else ''}at export "
                    f"(a probability is off by {error:.2g}): its kernels are wrong on this "
                    "processor, or its version is. int8 on x86 without VNNI: export with "
                    f"--weight-bits 7. Otherwise try another --runtime, {WAY_ON}"
                )

    def _check_shapes(self) -> None:
        count = len(self.images)
        alike = all(len(values) == count and values.ndim == 2 for values in self.answers.values())
        if self.images.ndim != 4 or not (count and self.answers and alike):
            raise ValueError("its pictures and answers do not belong together")


def apart(given: NDArray[Any], expected: NDArray[Any]) -> NDArray[Any]:
    """How far each value is from what was expected; infinitely where there are others."""
    if given.shape != expected.shape:
        return np.array([np.inf])
    difference: NDArray[Any] = np.abs(given.astype(np.float32) - expected)
    return difference


def small(frame: Frame) -> Frame:
    """A frame with no side over 256 pixels."""
    factor = min(1.0, FRAME_SIDE / max(frame.shape[:2]))
    size = tuple(max(1, round(side * factor)) for side in frame.shape[1::-1])
    cv2 = opencv()
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)


def test_card(preprocessing: Preprocessing) -> Frame:
    """A frame, uint8 BGR, on which every other way of cutting, scaling and colouring shows.

    Larger than the network's input and of another shape, so that all of it takes part; each
    direction and colour is another one, in stripes finer than what scaling leaves.
    """
    height = round(2.5 * preprocessing.height) + 1
    width = round(10 / 3 * preprocessing.width) + 1
    y, x = np.arange(height)[:, None], np.arange(width)
    card = np.empty((height, width, 3), np.uint8)
    card[..., 0] = 255 * y // height
    card[..., 1] = np.where((x // 3 + y // 5) % 2, 220, 40)
    card[..., 2] = 255 * x // width // 2 + 127 * (x // 7 % 2)
    return card


def _by_format(held: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): value for name, value in held.items() if name.startswith(prefix)
    }


def _difference(then: Sequence[str], now: Sequence[str]) -> str:
    if len(then) != len(now):
        return f"it has {len(now)} labels, and had {len(then)} at export"
    where = next(i for i, (old, new) in enumerate(zip(then, now, strict=True)) if old != new)
    return f"label {where} is '{now[where]}', and was '{then[where]}' at export"
