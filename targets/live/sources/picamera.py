"""The Raspberry Pi's CSI camera, through picamera2: OpenCV cannot open it.

Tried with picamera2 0.3.38 and libcamera's virtual camera on an emulated board, not on a real one.
"""

import importlib.util
import os
import time
from typing import Any

from edgecnn.errors import SourceError
from edgecnn.opencv import opencv
from edgecnn.preprocessing import Frame
from edgecnn.targets.live.sources.source import Wish

SIZE = (640, 480)

# picamera2 names formats by their bytes in memory from the high end: RGB888 is BGR.
TO_BGR = {
    "RGB888": None,
    "NV12": "COLOR_YUV2BGR_NV12",
    "YUYV": "COLOR_YUV2BGR_YUYV",
    "MJPEG": "COLOR_RGB2BGR",
}
"""How frames become BGR, by their format; a Raspberry Pi's camera gives the one that is asked for.
MJPEG arrives decoded."""


def why_not() -> str | None:
    """Why picamera2 cannot be used here, or None."""
    for module in ("libcamera", "picamera2"):
        if importlib.util.find_spec(module) is None:
            return (
                f"the Python module {module} is not installed: on Raspberry Pi OS, "
                "sudo apt install python3-picamera2, and make the venv with --system-site-packages"
            )
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:ERROR")
    try:
        import picamera2  # noqa: F401
    except ValueError as error:  # how a module that was built for another numpy fails
        return (
            f"picamera2 does not load here ({error}): its simplejpeg was built for numpy 1, "
            "pip install 'edgecnn[picamera]' brings one for every numpy"
        )
    except ImportError as error:
        return f"picamera2 does not load here: {error}"
    return None


def check() -> None:
    """Raise `SourceError` where picamera2 cannot be used.

    Imports it, which takes a small board seconds: they belong to no camera's time-out.
    """
    if reason := why_not():
        raise SourceError(f"No Raspberry Pi camera: {reason}.")


class PiCamera:
    """A live `Device` over the first CSI camera; `check` comes first."""

    endless = True
    age_s = 0.0

    def __init__(self, wish: Wish) -> None:
        from picamera2 import Picamera2

        if not Picamera2.global_camera_info():
            raise SourceError(
                "No Raspberry Pi camera found: check the ribbon cable and `rpicam-hello --list`."
            )
        self._camera = Picamera2()
        configuration = self._camera.create_video_configuration(
            main={"size": wish.size or SIZE, "format": "RGB888"},
            controls={"FrameRate": wish.fps} if wish.fps else {},
            buffer_count=3,
            queue=False,
        )
        self._camera.configure(configuration)
        given = self._camera.camera_configuration()["main"]["format"]
        if given not in TO_BGR:
            self._camera.close()
            raise SourceError(f"picamera gives {given} frames, which edgecnn does not read.")
        self._to_bgr = TO_BGR[given]
        self._camera.start()
        duration_us = self._camera.capture_metadata().get("FrameDuration")
        self.fps: float | None = 1e6 / duration_us if duration_us else None
        self._request: Any = None

    def wait(self) -> bool:
        """Block until the camera has completed a frame."""
        self._request = self._camera.capture_request()
        if exposed_ns := self._request.get_metadata().get("SensorTimestamp"):
            self.age_s = (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - exposed_ns) / 1e9
        return True

    def take(self, into: Frame | None) -> Frame | None:
        """That frame; picamera2 copies it out of the camera's memory itself."""
        try:
            image: Frame = self._request.make_array("main")
        finally:
            self._request.release()
            self._request = None
        if self._to_bgr:
            cv2 = opencv()
            image = cv2.cvtColor(image, getattr(cv2, self._to_bgr), dst=into)
        return image

    def close(self) -> None:
        """Stop the camera."""
        self._camera.stop()
        self._camera.close()
