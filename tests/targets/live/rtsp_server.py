"""An RTSP camera for the tests, run by the system's Python: GStreamer's own server.

python3 rtsp_server.py PORT serves rtsp://127.0.0.1:PORT/camera, H.264, and prints `ready`.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_service(sys.argv[1])
camera = GstRtspServer.RTSPMediaFactory()
camera.set_shared(True)
camera.set_launch(
    "( videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=30/1 ! "
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! "
    "rtph264pay name=pay0 pt=96 )"
)
server.get_mount_points().add_factory("/camera", camera)
server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
