"""The Raspberry Pi's CSI camera, through picamera2: OpenCV cannot open it.

Written to picamera2's documented API; not tried on a board yet.
"""

import importlib.util
from typing import Any

from edgecnn.errors import SourceError
from edgecnn.preprocessing import Frame
from edgecnn.targets.sources.source import Wish

SIZE = (640, 480)


def why_not() -> str | None:
    """Why picamera2 cannot be used here, or None."""
    for module in ("libcamera", "picamera2"):
        if importlib.util.find_spec(module) is None:
            return (
                f"the Python module {module} is not installed: on Raspberry Pi OS, "
                "sudo apt install python3-picamera2, and make the venv with --system-site-packages"
            )
    return None


class PiCamera:
    """A live `Device` over the first CSI camera."""

    endless = True

    def __init__(self, wish: Wish) -> None:
        if reason := why_not():
            raise SourceError(f"No Raspberry Pi camera: {reason}.")
        from picamera2 import Picamera2

        if not Picamera2.global_camera_info():
            raise SourceError(
                "No Raspberry Pi camera found: check the ribbon cable and `rpicam-hello --list`."
            )
        self._camera = Picamera2()
        # picamera2 names formats by their bytes in memory from the high end: RGB888 is BGR.
        configuration = self._camera.create_video_configuration(
            main={"size": wish.size or SIZE, "format": "RGB888"},
            controls={"FrameRate": wish.fps} if wish.fps else {},
            buffer_count=3,
            queue=False,
        )
        self._camera.configure(configuration)
        self._camera.start()
        duration_us = self._camera.capture_metadata().get("FrameDuration")
        self.fps: float | None = 1e6 / duration_us if duration_us else None
        self._request: Any = None

    def wait(self) -> bool:
        """Block until the camera has completed a frame."""
        self._request = self._camera.capture_request()
        return True

    def take(self, into: Frame | None) -> Frame | None:  # noqa: ARG002
        """That frame; picamera2 copies it out of the camera's memory itself."""
        try:
            image: Frame = self._request.make_array("main")
            return image
        finally:
            self._request.release()
            self._request = None

    def close(self) -> None:
        """Stop the camera."""
        self._camera.stop()
        self._camera.close()
