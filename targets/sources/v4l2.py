"""Cameras of the kernel's V4L2: USB webcams and what else shows as /dev/videoN."""

import os
from pathlib import Path

from edgecnn.errors import SourceError
from edgecnn.targets.opencv import opencv
from edgecnn.targets.sources.capture import CaptureDevice, declared_fps

DEV = Path("/dev")


def devices(dev: Path = DEV) -> list[Path]:
    """Every /dev/videoN, in the order of N."""
    found = [p for p in dev.glob("video*") if p.name.removeprefix("video").isdigit()]
    return sorted(found, key=lambda p: int(p.name.removeprefix("video")))


def why_not(device: Path) -> str | None:
    """Why a device node cannot be opened by this user, or None."""
    if not device.exists():
        others = ", ".join(map(str, devices(device.parent)))
        return f"there is no {device}; " + (f"found: {others}" if others else "found no camera")
    if not os.access(device, os.R_OK | os.W_OK):
        return (
            f"{device} may not be opened by this user: sudo usermod -aG video $USER, log in again"
        )
    return None


def open_camera(device: Path, size: tuple[int, int] | None, timeout_s: float) -> CaptureDevice:
    """Open a camera, asking for MJPG (USB carries no raw 30 frames a second at useful sizes).

    `size` is (width, height) to ask for; the camera may choose another. Raises `SourceError` if
    there is no such camera, it is busy or it gives no pictures.
    """
    if reason := why_not(device):
        raise SourceError(
            f"No camera: {reason}. Plug one in, or use --source FILE, a URL or `synthetic`."
        )
    cv2 = opencv()
    capture = cv2.VideoCapture(
        str(device), cv2.CAP_V4L2, [cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(timeout_s * 1000)]
    )
    if not capture.isOpened():
        capture.release()
        raise SourceError(
            f"{device} does not open as a camera: it is in use by another program, or it is a "
            f"video node that gives no pictures (found: {', '.join(map(str, devices()))})."
        )
    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    if size:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
    return CaptureDevice(str(device), capture, declared_fps(capture), timeout_s)
