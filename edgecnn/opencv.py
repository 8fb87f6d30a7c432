"""OpenCV with its own chatter off: what goes wrong is said once, by us."""

import contextlib
import functools
import os
import threading
from types import ModuleType

from edgecnn.errors import MissingLibrary

LARGEST_PICTURE = 1 << 28
"""Pixels, more than any camera has; OpenCV looks into a picture's head before it decodes."""


@functools.cache
def opencv() -> ModuleType:
    """The `cv2` module, quiet, which takes no picture of more than `LARGEST_PICTURE`.

    Its FFmpeg reads the environment when a stream is opened, the limit when it is imported.

    Raises `MissingLibrary` on a system without a desktop, where the usual wheel does not load.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(LARGEST_PICTURE))
    try:
        import cv2
    except ModuleNotFoundError:
        raise
    except ImportError as error:
        raise MissingLibrary(
            f"OpenCV does not load here: {error}. What its windows need is missing on a system "
            "without a desktop: sudo apt install libgl1 libglib2.0-0. Or take OpenCV without "
            "windows: pip uninstall -y opencv-python && pip install opencv-python-headless"
        ) from None

    # OpenCV 5 moved it; Debian and Raspberry Pi OS have 4.
    logging = cv2.utils.logging if hasattr(cv2.utils, "logging") else cv2
    logging.setLogLevel(0)  # silent
    module: ModuleType = cv2
    return module


def opencv_ahead() -> None:
    """Begin to import it, in a thread: whoever needs it waits, or is told what is wrong with it."""
    threading.Thread(target=_opencv_if_possible, name="opencv").start()


def _opencv_if_possible() -> None:
    with contextlib.suppress(ImportError, MissingLibrary):
        opencv()


def build_has(feature: str) -> bool:
    """Whether this OpenCV was built with a feature (`GStreamer`, `GUI`)."""
    for line in opencv().getBuildInformation().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == feature:
            return not value.strip().upper().startswith(("NO", "NONE"))
    return False
