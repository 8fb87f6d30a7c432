"""The one description of how a picture becomes a network's input.

Geometry (crop, resize, colour) is done on uint8 pixels, by `FramePreparer`, for training,
calibration and the live loop alike. Arithmetic (mean, std) is never done on pixels: export
puts it inside the graph, so every artifact takes the raw uint8 picture.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from edgecnn.errors import BundleError, UnknownName
from edgecnn.opencv import opencv

Frame = NDArray[np.uint8]
Resize = Literal["crop", "letterbox", "stretch"]
LETTERBOX_GREY = 114
LARGEST_SIDE = 8192
"""Of a network's input: no classifier looks at more, and no board has the memory."""
NAMED: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "raw": ((0.0,), (1.0,)),
    "0..1": ((0.0,), (255.0,)),
    "-1..1": ((127.5,), (127.5,)),
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "caffe": ((103.939, 116.779, 123.68), (1.0,)),
}
"""Mean and std by the name of a rule: pixels as they are; divided by 255; from -1 to 1; in units of
ImageNet's deviation, as PyTorch's networks; blue first and less ImageNet's mean, as Caffe's."""


@dataclass(frozen=True)
class Preprocessing:
    """How a frame becomes the network's input.

    `mean` and `std` are in pixel units (0 to 255), one value for all channels or one for each:
    the network sees `(pixel - mean) / std`.

    `resize`: `crop` cuts the centred part with the input's aspect ratio (`crop_fraction` of the
    largest such part) and scales it; `letterbox` keeps the whole frame and pads it with grey
    bars; `stretch` scales both sides independently.
    """

    height: int
    width: int
    channels: int = 3
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (255.0,)
    resize: Resize = "crop"
    crop_fraction: float = 1.0
    bgr: bool = False
    """Whether the network sees blue first, as those that came from Caffe; mean and std too."""

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise BundleError(f"A picture has 1 or 3 channels, not {self.channels}.")
        sides = (self.height, self.width)
        if not 1 <= min(sides) <= max(sides) <= LARGEST_SIDE or not 0 < self.crop_fraction <= 1:
            raise BundleError(f"Preprocessing out of range: {self}")
        if self.resize not in ("crop", "letterbox", "stretch"):
            raise BundleError(f"Unknown resize policy '{self.resize}'.")
        for values in (self.mean, self.std):
            if len(values) not in (1, self.channels):
                raise BundleError(
                    f"mean and std need 1 or {self.channels} values, not {len(values)}."
                )
        if min(self.std) <= 0:
            raise BundleError("std must be positive.")
        if self.bgr and self.channels != 3:
            raise BundleError("Only a picture of three channels has blue first.")

    @property
    def is_raw(self) -> bool:
        """Whether the network takes the pixels as they are."""
        return not self.bgr and set(self.mean) == {0.0} and set(self.std) == {1.0}

    @classmethod
    def named(cls, name: str, height: int, width: int, channels: int = 3) -> Self:
        """One of the rules that networks come with; see `NAMED`. Else raises `UnknownName`."""
        if name not in NAMED:
            raise UnknownName("preprocessing", name, NAMED)
        mean, std = NAMED[name]
        if channels == 1:
            mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
        bgr = name == "caffe" and channels == 3
        return cls(height, width, channels, mean=mean, std=std, bgr=bgr)

    @property
    def color(self) -> str:
        """Channel order of the network's input: `RGB`, or `GRAY` for one channel."""
        return "RGB" if self.channels == 3 else "GRAY"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the network's input, `(1, height, width, channels)`."""
        return (1, self.height, self.width, self.channels)

    def resized(self, height: int, width: int, channels: int | None = None) -> Self:
        """The same rule for another input size."""
        channels = channels or self.channels
        mean, std = self.mean, self.std
        if channels != self.channels:
            mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
        return replace(
            self,
            height=height,
            width=width,
            channels=channels,
            mean=mean,
            std=std,
            bgr=self.bgr and channels == 3,
        )

    def normalise(self, pictures: NDArray[Any]) -> NDArray[np.float32]:
        """`(pixel - mean) / std` for uint8 pictures `(..., channels)`, as float32.

        For training and for the float reference only; an artifact does this inside its graph.
        """
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        pictures = pictures[..., ::-1] if self.bgr else pictures
        return ((pictures.astype(np.float32) - mean) / std).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        found = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        if not self.bgr:  # as boards with an older edgecnn read it
            del found["bgr"]
        return found

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read back what `to_json` wrote; raises `BundleError` on anything else."""
        try:
            values: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in data.items()
            }
            wrong = [k for k, v in values.items() if not _is(TYPES.get(k), v)]
            if wrong:
                raise TypeError(f"{wrong[0]!a} is {values[wrong[0]]!r:.40}")
            return cls(**values)
        except (TypeError, AttributeError) as error:
            raise BundleError(f"Unreadable preprocessing: {error}") from None


TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("height", "width", "channels"), (int,)),
    **dict.fromkeys(("mean", "std"), (tuple,)),
    "resize": (str,),
    "crop_fraction": (int, float),
    "bgr": (bool,),
}


def _is(types: tuple[type, ...] | None, value: object) -> bool:
    if types is None or (isinstance(value, bool) and bool not in types):
        return False
    numbers = all(_is((int, float), one) for one in value) if isinstance(value, tuple) else True
    return isinstance(value, types) and numbers


class _Plan(NamedTuple):
    """What happens to frames of one size: cut, decimate by whole factors, scale into place."""

    cut: tuple[slice, slice]
    decimated: tuple[Frame, ...]
    """What each pass gives."""
    scaled: Frame
    place: tuple[slice, slice]


class FramePreparer:
    """Turns frames into the network's input, in buffers that are used again and again.

    Calling it with a uint8 frame, BGR `(height, width, 3)` or grey `(height, width)`, returns
    the uint8 input `(1, height, width, channels)`; the next call overwrites it.

    Shrinking averages whole blocks of pixels first (2×2, 3×3, ...), then interpolates the
    remaining factor below two: free of aliasing like OpenCV's INTER_AREA, at an eighth of its
    time for a 640×480 frame. OpenCV is fast at 2×2 alone, so that 4×4 is twice that: a third of the
    time, and at most one level above.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing
        self.buffer: Frame = np.zeros(preprocessing.shape, np.uint8)
        self._plans: dict[tuple[int, ...], _Plan] = {}

    def __call__(self, frame: Frame) -> Frame:
        """The input made of a frame: this preparer's own buffer."""
        cv2 = opencv()
        plan = self._plans.get(frame.shape)
        if plan is None:
            plan = self._plan_for(frame)
        picture = frame[plan.cut]
        for into in plan.decimated:
            rows, columns = into.shape[:2]
            picture = cv2.resize(picture, (columns, rows), dst=into, interpolation=cv2.INTER_AREA)
        target = plan.scaled[plan.place]
        cv2.resize(
            picture,
            (target.shape[1], target.shape[0]),
            dst=target,
            interpolation=cv2.INTER_LINEAR,
        )
        self._to_color(plan.scaled)
        return self.buffer

    def buffer_bytes(self, shape: tuple[int, ...]) -> int:
        """Bytes of all buffers that a frame of that shape goes through, the input among them."""
        plan = self._plan_for(np.broadcast_to(np.uint8(0), shape))
        decimated = sum(buffer.nbytes for buffer in plan.decimated)
        return decimated + plan.scaled.nbytes + self.buffer.nbytes

    def _to_color(self, picture: Frame) -> None:
        cv2 = opencv()
        target = self.buffer[0]
        grey_in, grey_out = picture.ndim == 2, self.preprocessing.channels == 1
        if grey_in and grey_out:
            target[:, :, 0] = picture
        elif grey_out:
            cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY, dst=target[:, :, 0])
        elif grey_in:
            cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB, dst=target)
        else:
            cv2.cvtColor(picture, cv2.COLOR_BGR2RGB, dst=target)

    def _plan_for(self, frame: Frame) -> _Plan:
        shape = frame.shape
        if frame.dtype != np.uint8 or shape[2:] not in ((), (3,)) or frame.size == 0:
            raise ValueError(f"A frame is uint8 (height, width[, 3]), not {frame.dtype} {shape}")
        p = self.preprocessing
        rows, columns = (slice(0, n) for n in shape[:2])
        place = (slice(0, p.height), slice(0, p.width))
        if p.resize == "crop":
            scale = min(shape[0] / p.height, shape[1] / p.width) * p.crop_fraction
            rows = _centred(round(p.height * scale), shape[0])
            columns = _centred(round(p.width * scale), shape[1])
        elif p.resize == "letterbox":
            scale = min(p.height / shape[0], p.width / shape[1])
            place = (
                _centred(round(shape[0] * scale), p.height),
                _centred(round(shape[1] * scale), p.width),
            )
        blocks = [
            max(1, (part.stop - part.start) // (to.stop - to.start))
            for part, to in zip((rows, columns), place, strict=True)
        ]
        counts = [
            (part.stop - part.start) // block
            for part, block in zip((rows, columns), blocks, strict=True)
        ]
        cut = tuple(
            slice(part.start, part.start + count * block)
            for part, count, block in zip((rows, columns), counts, blocks, strict=True)
        )
        plan = _Plan(
            cut=(cut[0], cut[1]),
            decimated=tuple(
                np.zeros((counts[0] * down, counts[1] * across, *shape[2:]), np.uint8)
                for down, across in _passes(blocks[0], blocks[1])
            ),
            scaled=np.full((p.height, p.width, *shape[2:]), LETTERBOX_GREY, np.uint8),
            place=place,
        )
        if len(self._plans) >= 8:  # a stream whose size keeps changing must not grow us
            self._plans.clear()
        self._plans[shape] = plan
        return plan


def _passes(down: int, across: int) -> Iterator[tuple[int, int]]:
    """What is left to average of blocks of that size after each pass, at last 1 and 1."""
    while max(down, across) > 1:
        halved = down % 2 == across % 2 == 0
        down, across = (down // 2, across // 2) if halved else (1, 1)
        yield down, across


def _centred(length: int, within: int) -> slice:
    length = min(max(1, length), within)
    start = (within - length) // 2
    return slice(start, start + length)
