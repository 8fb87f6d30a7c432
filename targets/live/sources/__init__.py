"""Where frames come from: a file per kind of source, picked by URI.

| URI | source | |
|---|---|---|
| `0`, `/dev/video0`, `/dev/v4l/by-id/...` | V4L2 camera | live |
| `picamera`, `picamera2` | Raspberry Pi CSI camera | live |
| `csi://0` | Jetson CSI camera | live |
| `gst:PIPELINE` | GStreamer | live |
| `http://`, `https://`, `rtsp://` | network camera | live |
| `synthetic:640x480@30` | test pattern at 30 frames a second | live |
| `synthetic`, `synthetic:640x480` | test pattern, as fast as it is read | every frame |
| `-` | JPEGs on standard input | every frame |
| `env:NAME` | what the environment variable NAME holds, an address with a password | |
| a picture, a folder or glob of pictures, a video | files | every frame |
"""

import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

from edgecnn.errors import SourceError
from edgecnn.targets.live.sources.newest import Device, NewestFrame
from edgecnn.targets.live.sources.reconnecting import Reconnecting
from edgecnn.targets.live.sources.source import FrameSource, Wish
from edgecnn.targets.live.urls import without_password

DEFAULT_TIMEOUT_S = 5.0
LARGEST_SIDE = 4096
"""Of a test pattern; of more the memory would be full."""
_SYNTHETIC = re.compile(r"synthetic(?::(\d+)x(\d+))?(?:@(\d+(?:\.\d+)?))?")


def open_frames(
    uri: str,
    *,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    max_outage_s: float | None = None,
    stop: threading.Event | None = None,
) -> FrameSource:
    """Open the source a URI names; see the table above.

    `size` is the (width, height) and `fps` the rate to ask a camera for. `timeout_s` is how long
    a live source may be silent before it counts as lost. A lost one is connected again for up to
    `max_outage_s`, None being for ever; with 0 its end is the end, and silence or a failure
    raises. Setting `stop` ends a waiting read. Raises `SourceError` if there is nothing to open
    (`DataError` for a folder without pictures), `SourceTimeout` if it does not answer.
    """
    if uri.startswith("env:"):
        uri = _from_environment(uri.removeprefix("env:"))
    if uri == "-":
        from edgecnn.targets.live.sources.pipe import Pipe

        return Pipe(stop)
    if device := _live_device(uri, Wish(size, fps), timeout_s):
        name = without_password(uri) if "://" in uri else uri

        def connect() -> NewestFrame:
            return NewestFrame(name, device, timeout_s=timeout_s, stop=stop)

        if max_outage_s == 0:
            return connect()
        return Reconnecting(connect, max_outage_s=max_outage_s, stop=stop)
    if match := _SYNTHETIC.fullmatch(uri):
        from edgecnn.targets.live.sources.synthetic import Synthetic

        return Synthetic(uri, _synthetic_size(match, size))
    return _open_files(uri)


def _from_environment(variable: str) -> str:
    """An address that is not to stand on a command line, where every user of a machine sees it."""
    if not (uri := os.environ.get(variable)):
        raise SourceError(f"env:{variable}: the environment variable {variable} is not set.")
    return uri


def _live_device(uri: str, wish: Wish, timeout_s: float) -> Callable[[], Device] | None:
    """How to open the live device a URI names; None if it names none."""
    if uri.isdigit() or re.fullmatch(r"/dev/(video\d+|v4l/by-(id|path)/[^/]+)", uri):
        from edgecnn.targets.live.sources.v4l2 import open_camera

        node = Path(f"/dev/video{uri}" if uri.isdigit() else uri)
        return lambda: open_camera(node, wish, timeout_s)
    if uri in ("picamera", "picamera2"):
        from edgecnn.targets.live.sources import picamera

        picamera.check()
        return lambda: picamera.PiCamera(wish)
    if uri.startswith(("gst:", "csi:")):
        from edgecnn.targets.live.sources.gstreamer import csi_pipeline, open_pipeline

        pipeline = uri.removeprefix("gst:")
        if uri.startswith("csi:"):
            if not (sensor := re.fullmatch(r"csi://(\d+)", uri)):
                raise SourceError(f"{uri}: a CSI camera is named by its number, as in csi://0.")
            pipeline = csi_pipeline(int(sensor[1]), wish)
        return lambda: open_pipeline(pipeline, timeout_s)
    if uri.startswith(("http://", "https://", "rtsp://", "rtsps://")):
        from edgecnn.targets.live.sources.network import open_stream

        return lambda: open_stream(uri, timeout_s)
    if (match := _SYNTHETIC.fullmatch(uri)) and match[3]:
        from edgecnn.targets.live.sources.synthetic import SyntheticCamera

        size, rate = _synthetic_size(match, wish.size), float(match[3])
        return lambda: SyntheticCamera(size, rate)
    return None


def _synthetic_size(match: re.Match[str], size: tuple[int, int] | None) -> tuple[int, int]:
    from edgecnn.targets.live.sources.synthetic import SIZE

    width, height, fps = match.groups()
    size = (int(width), int(height)) if width else size or SIZE
    if min(size) < 1 or (fps and float(fps) <= 0):
        raise SourceError(f"{match[0]}: size and rate must be positive, as in synthetic:640x480@30")
    if max(size) > LARGEST_SIDE:
        raise SourceError(f"{match[0]}: no side may have more than {LARGEST_SIDE} pixels.")
    return size


def _open_files(uri: str) -> FrameSource:
    from edgecnn.picture_files import SUFFIXES, is_unreadable, not_read_here
    from edgecnn.pictures import list_pictures, matching_pictures
    from edgecnn.targets.live.sources.picture_files import Pictures
    from edgecnn.targets.live.sources.video import VideoFile

    if not uri:
        raise SourceError("The source has no name: is a variable empty that should hold it?")
    if "\0" in uri:
        raise SourceError("A source's name has no zero byte in it.")
    path = Path(uri).expanduser()
    try:
        path.exists()
    except OSError as error:  # a name that no file can have
        shown = without_password(uri)[:60]
        raise SourceError(f"No such source: {shown}...: {error.strerror}.") from None
    if path.is_dir():
        return Pictures(uri, list_pictures(path))
    if path.exists() and is_unreadable(path) and path.suffix.lower() != ".gif":
        raise SourceError(not_read_here(path, path.suffix.lstrip(".").upper()))
    # A GIF named alone is a film, every frame of it; in a folder its first frame is a picture.
    if path.suffix.lower() in SUFFIXES - {".gif"} and path.exists():
        return Pictures(uri, [path])
    if path.exists():
        return VideoFile(path)
    if any(wildcard in uri for wildcard in "*?["):
        return Pictures(uri, matching_pictures(str(path)))
    raise SourceError(
        f"No such source: {without_password(uri)}. It can be a picture, a folder, a glob, a video, "
        "- (standard input), a camera (0 or /dev/video0), http://... or rtsp://..., picamera, "
        "csi://0, gst:PIPELINE, synthetic, or env:NAME, a variable that holds one."
    )
