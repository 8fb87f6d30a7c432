"""What frames take of memory in the live loop."""

import math
from collections.abc import Sequence

from edgecnn.preprocessing import FramePreparer, Preprocessing
from edgecnn.targets.live.sources.newest import BUFFERS

CAMERA_FRAME = (480, 640, 3)
"""Height, width and colours of what a camera sends that nobody asked for another size."""


def frame_bytes(input_shape: Sequence[int], frame: tuple[int, int, int] = CAMERA_FRAME) -> int:
    """What the live loop holds of a camera: its frames, and the buffers that make the input.

    `input_shape` is the network's, `(height, width, channels)`. The camera's own buffers in the
    kernel are not the process's.
    """
    height, width, channels = input_shape
    preparer = FramePreparer(Preprocessing(height, width, channels))
    return BUFFERS * math.prod(frame) + preparer.buffer_bytes(frame)
