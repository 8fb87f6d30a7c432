"""GStreamer pipelines, among them the Jetson's CSI cameras.

Needs an OpenCV built with GStreamer, which the wheels from PyPI are not. Tried with Debian 13's
and `videotestsrc`; no CSI camera of a Jetson was.
"""

import ctypes

from edgecnn.errors import SourceError
from edgecnn.opencv import build_has, opencv
from edgecnn.targets.live.sources.capture import CaptureDevice
from edgecnn.targets.live.sources.source import Wish

# drop and max-buffers: the pipeline itself must not queue; sync=false: no waiting for a clock.
SINK = "videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"

CSI_SIZE, CSI_FPS = (1280, 720), 30.0


def why_not() -> str | None:
    """Why GStreamer pipelines cannot be opened here, or None."""
    if build_has("GStreamer"):
        return None
    return (
        "this OpenCV is built without GStreamer (the wheels from PyPI are): use the board's own, "
        "sudo apt install python3-opencv, in a venv made with --system-site-packages and without "
        "the opencv-python wheel"
    )


class _Error(ctypes.Structure):
    """GLib's GError."""

    _fields_ = (("domain", ctypes.c_uint32), ("code", ctypes.c_int), ("message", ctypes.c_char_p))


def refusal(pipeline: str) -> str | None:
    """GStreamer's own words on a pipeline it cannot make, or None.

    OpenCV does not hand them on: it waits half a minute for frames of what could be made.
    """
    try:
        gst = ctypes.CDLL("libgstreamer-1.0.so.0")
    except OSError:
        return None  # OpenCV has one inside
    gst.gst_parse_launch.restype = ctypes.c_void_p
    gst.gst_init(None, None)
    error = ctypes.POINTER(_Error)()
    made = gst.gst_parse_launch(pipeline.encode(), ctypes.byref(error))
    if made:
        gst.gst_object_unref(ctypes.c_void_p(made))
    return error.contents.message.decode() if error else None


def with_sink(pipeline: str) -> str:
    """The pipeline, ending in an appsink that gives BGR and keeps only the newest frame."""
    return pipeline if "appsink" in pipeline else f"{pipeline.rstrip(' !')} ! {SINK}"


def csi_pipeline(sensor: int, wish: Wish) -> str:
    """The pipeline for a Jetson's CSI camera: the sensor's own processor gives NV12 pictures."""
    width, height = wish.size or CSI_SIZE
    fps = round(wish.fps or CSI_FPS)
    return (
        f"nvarguscamerasrc sensor-id={sensor} ! video/x-raw(memory:NVMM),width={width},"
        f"height={height},framerate={fps}/1,format=NV12 ! nvvidconv ! video/x-raw,format=BGRx"
    )


def open_pipeline(pipeline: str, timeout_s: float) -> CaptureDevice:
    """Start a pipeline; raises `SourceError` if GStreamer is missing or refuses it."""
    if reason := why_not():
        raise SourceError(f"gst:{pipeline} cannot run: {reason}.")
    if reason := refusal(with_sink(pipeline)):
        raise SourceError(
            f"GStreamer does not take '{pipeline}': {reason}. Elements are in packages such as "
            "gstreamer1.0-plugins-good; nvarguscamerasrc is in a Jetson's system only."
        )
    cv2 = opencv()
    timeout_ms = int(timeout_s * 1000)
    capture = cv2.VideoCapture(
        with_sink(pipeline),
        cv2.CAP_GSTREAMER,
        [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms],
    )
    if not capture.isOpened():
        capture.release()
        raise SourceError(
            f"GStreamer does not start '{with_sink(pipeline)}': try it with gst-launch-1.0."
        )
    return CaptureDevice(f"gst:{pipeline}", capture, timeout_s)
