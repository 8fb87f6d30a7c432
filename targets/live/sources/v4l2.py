"""Cameras of the kernel's V4L2: USB webcams and what else shows as /dev/videoN."""

import logging
import os
from pathlib import Path
from typing import Any

import psutil

from edgecnn.errors import SourceError
from edgecnn.opencv import opencv
from edgecnn.targets.live.sources.capture import CaptureDevice
from edgecnn.targets.live.sources.source import Wish

log = logging.getLogger(__name__)
DEV = Path("/dev")
OPENCV_TIMEOUT_S = 10.0
"""How long its V4L2 backend waits for a frame, whatever is asked of it."""


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


def users(device: Path) -> dict[int, str]:
    """Programs that hold a device open, as far as this user may see: names by process number."""
    found = {}
    for process in psutil.process_iter():
        try:
            open_files = list(Path(f"/proc/{process.pid}/fd").iterdir())
            # resolve() and not readlink(): what was closed meanwhile is no error to it.
            if any(fd.resolve() == device.resolve() for fd in open_files):
                found[process.pid] = process.name()
        except (OSError, psutil.Error):
            # It has ended meanwhile, or belongs to somebody else.
            continue
    return found


def why_closed(device: Path) -> str:
    """What may keep a device, which this user may open, from opening."""
    programs = users(device)
    if os.getpid() in programs:
        return (
            "an earlier read still waits for a frame of it, and gives up after "
            f"{OPENCV_TIMEOUT_S:g} s"
        )
    if programs:
        named = ", ".join(f"{name} (process {pid})" for pid, name in programs.items())
        return f"it is in use by {named}"
    return (
        "it is in use by another user's program, or it is a video node that gives no pictures "
        f"(found: {', '.join(map(str, devices()))})"
    )


def open_camera(device: Path, wish: Wish, timeout_s: float) -> CaptureDevice:
    """Open a camera, asking for MJPG (USB carries no raw 30 frames a second at useful sizes).

    The camera may choose another size and rate than wished; it is then logged. Raises
    `SourceError` if there is no such camera, it is busy or it gives no pictures.
    """
    if reason := why_not(device):
        raise SourceError(
            f"No camera: {reason}. Plug one in, or use --source FILE, a URL or `synthetic`."
        )
    cv2 = opencv()
    # It takes no time-out: asked for one, the V4L2 backend does not open at all.
    capture = cv2.VideoCapture(str(device), cv2.CAP_V4L2)
    if not capture.isOpened():
        capture.release()
        raise SourceError(f"{device} does not open as a camera: {why_closed(device)}.")
    ask(capture, wish)
    if difference := unmet(capture, wish):
        log.warning("edgecnn: %s %s.", device, difference)
    return CaptureDevice(str(device), capture, min(timeout_s, OPENCV_TIMEOUT_S), stamped=True)


def ask(capture: Any, wish: Wish) -> None:
    """Ask an open camera for MJPG, a size and a rate; the format first, the others hang on it."""
    cv2 = opencv()
    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    if wish.size:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, wish.size[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, wish.size[1])
    if wish.fps:
        capture.set(cv2.CAP_PROP_FPS, wish.fps)


def unmet(capture: Any, wish: Wish) -> str | None:
    """What the camera gives instead of what was asked for, or None: what `set` returns lies."""
    cv2 = opencv()
    size = tuple(int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    different = []
    if wish.size and size != wish.size:
        different.append("{}x{} and not {}x{}".format(*size, *wish.size))
    if wish.fps and abs(fps - wish.fps) > 0.5:
        different.append(f"{fps:g} frames a second and not {wish.fps:g}")
    return f"gives {', '.join(different)}" if different else None
