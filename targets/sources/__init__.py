"""Where frames come from: a file per kind of source, picked by URI.

| URI | source | |
|---|---|---|
| `0`, `/dev/video0` | V4L2 camera | live |
| `picamera`, `picamera2` | Raspberry Pi CSI camera | live |
| `gst:PIPELINE` | GStreamer | live |
| `http://`, `https://`, `rtsp://` | network camera | live |
| `synthetic:640x480@30` | test pattern at 30 frames a second | live |
| `synthetic`, `synthetic:640x480` | test pattern, as fast as it is read | every frame |
| a picture, a folder of pictures, a video | files | every frame |
"""

import re
import threading
from collections.abc import Callable
from pathlib import Path

from edgecnn.errors import SourceError
from edgecnn.targets.sources.newest import Device, NewestFrame
from edgecnn.targets.sources.source import FrameSource

DEFAULT_TIMEOUT_S = 5.0
_SYNTHETIC = re.compile(r"synthetic(?::(\d+)x(\d+))?(?:@(\d+(?:\.\d+)?))?")


def open_frames(
    uri: str,
    *,
    size: tuple[int, int] | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    stop: threading.Event | None = None,
) -> FrameSource:
    """Open the source a URI names; see the table above.

    `size` is the (width, height) to ask a camera for. `timeout_s` is how long a live source may
    be silent. Setting `stop` ends a waiting read. Raises `SourceError` if there is nothing to
    open (`DataError` for a folder without pictures), `SourceTimeout` if it does not answer.
    """

    def live(device: Callable[[], Device]) -> FrameSource:
        return NewestFrame(uri, device, timeout_s=timeout_s, stop=stop)

    if uri.isdigit() or re.fullmatch(r"/dev/video\d+", uri):
        from edgecnn.targets.sources.v4l2 import open_camera

        node = Path(f"/dev/video{uri}" if uri.isdigit() else uri)
        return live(lambda: open_camera(node, size, timeout_s))
    if uri in ("picamera", "picamera2"):
        from edgecnn.targets.sources.picamera import PiCamera

        return live(lambda: PiCamera(size))
    if uri.startswith("gst:"):
        from edgecnn.targets.sources.gstreamer import open_pipeline

        return live(lambda: open_pipeline(uri.removeprefix("gst:"), timeout_s))
    if uri.startswith(("http://", "https://", "rtsp://", "rtsps://")):
        from edgecnn.targets.sources.network import open_stream

        return live(lambda: open_stream(uri, timeout_s))
    if match := _SYNTHETIC.fullmatch(uri):
        from edgecnn.targets.sources.synthetic import SIZE, Synthetic, SyntheticCamera

        width, height, fps = match.groups()
        wanted = (int(width), int(height)) if width else size or SIZE
        if min(wanted) < 1 or (fps and float(fps) <= 0):
            raise SourceError(f"{uri}: size and rate must be positive, as in synthetic:640x480@30.")
        if fps:
            return live(lambda: SyntheticCamera(wanted, float(fps)))
        return Synthetic(uri, wanted)
    return _open_file(uri)


def _open_file(uri: str) -> FrameSource:
    from edgecnn.pictures import SUFFIXES, list_pictures
    from edgecnn.targets.sources.pictures import Pictures
    from edgecnn.targets.sources.video import VideoFile

    path = Path(uri).expanduser()
    if path.is_dir():
        return Pictures(uri, list_pictures(path))
    if not path.exists():
        raise SourceError(
            f"No such source: {uri}. It can be a picture, a folder, a video, a camera (0 or "
            "/dev/video0), http://... or rtsp://..., picamera, gst:PIPELINE or synthetic."
        )
    if path.suffix.lower() in SUFFIXES:
        return Pictures(uri, [path])
    return VideoFile(path)
