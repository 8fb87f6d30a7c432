"""Network cameras: MJPEG over HTTP, RTSP and what else OpenCV's FFmpeg speaks."""

import time

from edgecnn.errors import SourceError, SourceTimeout
from edgecnn.opencv import opencv
from edgecnn.targets.live.sources.capture import CaptureDevice
from edgecnn.targets.live.sources.mjpeg import MjpegDevice, open_mjpeg
from edgecnn.targets.live.urls import user_and_password, without_password


def open_stream(url: str, timeout_s: float) -> CaptureDevice | MjpegDevice:
    """Connect to a stream; raises `SourceError` if refused, `SourceTimeout` if nobody answers."""
    user_and_password(url)  # a password that cannot be told from the address is said first
    if url.startswith(("http://", "https://")) and (device := open_mjpeg(url, timeout_s)):
        return device
    cv2 = opencv()
    timeout_ms = int(timeout_s * 1000)
    started = time.monotonic()
    capture = cv2.VideoCapture(
        url,
        cv2.CAP_FFMPEG,
        [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms],
    )
    name = without_password(url)
    if not capture.isOpened():
        capture.release()
        if time.monotonic() - started >= 0.9 * timeout_s:
            raise SourceTimeout(
                f"{name} did not answer in {timeout_s:g} s: check address and network, or wait "
                "longer with --timeout."
            )
        raise SourceError(
            f"{name} cannot be opened: check that the server runs, the address, and that it "
            "serves video (MJPEG or RTSP)."
        )
    return CaptureDevice(name, capture, timeout_s)
