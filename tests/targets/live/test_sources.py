import ctypes.util
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgecnn.errors import EdgeCnnError, SourceError, SourceTimeout
from edgecnn.targets.captured import Captured
from edgecnn.targets.live.sources import gstreamer, open_frames, picamera, v4l2
from edgecnn.targets.live.sources.newest import NewestFrame
from edgecnn.targets.live.sources.source import FrameSource, Wish

Picture = Callable[[str, tuple[int, int, int]], Path]


def read_all(source: FrameSource) -> list[Captured]:
    frames = []
    while (captured := source.read()) is not None:
        frames.append(captured)
    source.close()
    return frames


def test_one_picture(picture: Picture) -> None:
    (captured,) = read_all(open_frames(str(picture("red.png", (0, 0, 255)))))
    assert captured.image.shape == (48, 64, 3)
    assert captured.image[0, 0].tolist() == [0, 0, 255]
    assert captured.index == 0


def test_a_folder_gives_every_picture_in_order(picture: Picture, tmp_path: Path) -> None:
    for name, blue in (("c.png", 3), ("a.png", 1), ("sub/b.png", 2)):
        picture(f"all/{name}", (blue, 0, 0))
    (tmp_path / "all" / "notes.txt").write_text("no picture")
    frames = read_all(open_frames(str(tmp_path / "all")))
    assert [f.image[0, 0, 0] for f in frames] == [1, 3, 2]
    assert [f.index for f in frames] == [0, 1, 2]


def test_a_real_video_gives_every_frame(videos: dict[str, Path]) -> None:
    source = open_frames(str(videos["bikes.mp4"]))
    assert not source.live
    assert source.fps == pytest.approx(25, abs=5.1)
    first = source.read()
    assert first is not None
    assert first.image.shape == (272, 640, 3)
    rest = read_all(source)
    assert len(rest) == 249
    assert rest[-1].index == 249
    assert all(f.dropped == 0 for f in rest)


def test_a_truncated_video_ends_where_decoding_ends(
    videos: dict[str, Path], tmp_path: Path
) -> None:
    whole = tmp_path / "whole.avi"
    writer = cv2.VideoWriter(str(whole), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for _ in range(40):
        writer.write(np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))
    writer.release()
    half = tmp_path / "half.avi"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    frames = read_all(open_frames(str(half)))
    assert 10 < len(frames) < 30


@pytest.mark.parametrize(
    ("name", "contents", "message"),
    [
        ("broken.jpg", b"\xff\xd8\xff\xe0 no more", "not a picture"),
        ("notes.txt", b"hello", "neither a picture nor a video"),
        ("empty.mp4", b"", "neither a picture nor a video"),
    ],
)
def test_files_that_are_no_pictures(
    tmp_path: Path, name: str, contents: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(contents)
    with pytest.raises(SourceError, match=message):
        read_all(open_frames(str(tmp_path / name)))


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(EdgeCnnError, match="holds no pictures"):
        open_frames(str(tmp_path))


def test_a_source_that_is_not_there() -> None:
    with pytest.raises(SourceError, match=r"No such source: nowhere\.mp4"):
        open_frames("nowhere.mp4")


def test_a_camera_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    for name in ("video10", "video2", "videodev"):
        (tmp_path / name).touch()
    assert [d.name for d in v4l2.devices(tmp_path)] == ["video2", "video10"]
    reason = v4l2.why_not(tmp_path / "video0")
    assert reason is not None
    assert reason.endswith(f"found: {tmp_path}/video2, {tmp_path}/video10")
    with pytest.raises(SourceError, match="No camera: there is no /dev/video77"):
        open_frames("77")


def test_a_picamera2_that_was_built_for_another_numpy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Debian 12 when a venv brings numpy 2; the words are simplejpeg 1.6.6's."""
    (tmp_path / "libcamera.py").touch()
    (tmp_path / "picamera2.py").write_text(
        'raise ValueError("numpy.dtype size changed, may indicate binary incompatibility.")'
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SourceError, match=r"size changed.*pip install 'edgecnn\[picamera\]'"):
        open_frames("picamera")


@pytest.mark.skipif(
    ctypes.util.find_library("gstreamer-1.0") is None, reason="no libgstreamer1.0-0 here"
)
def test_gstreamer_says_what_a_pipeline_lacks() -> None:
    assert gstreamer.refusal("fakesrc ! identity ! fakesink") is None
    assert gstreamer.refusal("nosuchsrc ! fakesink") == 'no element "nosuchsrc"'
    assert "syntax error" in str(gstreamer.refusal("fakesrc ! ! fakesink"))


def test_what_picamera_and_gstreamer_lack_is_said() -> None:
    if picamera.why_not():
        with pytest.raises(SourceError, match="python3-picamera2"):
            open_frames("picamera")
    if gstreamer.why_not():
        with pytest.raises(SourceError, match="built without GStreamer"):
            open_frames("gst:videotestsrc")
    assert gstreamer.with_sink("videotestsrc !").startswith("videotestsrc ! videoconvert")
    assert gstreamer.with_sink("a ! appsink") == "a ! appsink"


def test_synthetic_frames_are_reproducible() -> None:
    one, two = open_frames("synthetic:64x48"), open_frames("synthetic:64x48")
    for _ in range(3):
        a, b = one.read(), two.read()
        assert a is not None
        assert b is not None
        assert a.image.shape == (48, 64, 3)
        np.testing.assert_array_equal(a.image, b.image)


def test_synthetic_size_must_be_positive() -> None:
    with pytest.raises(SourceError, match="must be positive"):
        open_frames("synthetic:0x48")


class Metronome:
    """A device that delivers one numbered frame for each permission given."""

    fps: float | None = 100.0
    endless = True

    def __init__(self) -> None:
        self.allowed = threading.Semaphore(0)
        self.taken = threading.Semaphore(0)
        self.index = -1
        self.closed = threading.Event()
        self.end_at: int | None = None
        self.age_s = 0.0

    def wait(self) -> bool:
        self.taken.release()
        self.allowed.acquire()
        self.index += 1
        return self.index != self.end_at

    def take(self, into: np.ndarray | None) -> np.ndarray | None:
        image = np.zeros((2, 2, 3), np.uint8) if into is None else into
        image[:] = self.index
        return image

    def deliver(self, count: int) -> None:
        """Let `count` frames through and wait until they have been taken."""
        for _ in range(count):
            self.allowed.release()
            self.taken.acquire()

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def metronome() -> Metronome:
    return Metronome()


def test_only_the_newest_frame_is_read_and_drops_are_counted(metronome: Metronome) -> None:
    source = NewestFrame("camera", lambda: metronome, timeout_s=5)
    metronome.taken.acquire()
    metronome.deliver(1)
    first = source.read()
    assert first is not None
    assert (first.index, first.dropped) == (0, 0)
    metronome.deliver(7)
    second = source.read()
    assert second is not None
    assert (second.index, second.dropped, int(second.image[0, 0, 0])) == (7, 6, 7)
    metronome.deliver(2)
    # What was lent is not written to while its reader has it.
    assert int(second.image[0, 0, 0]) == 7
    metronome.end_at = metronome.index + 1
    third = source.read()
    assert third is not None
    assert (third.index, third.dropped) == (9, 1)
    metronome.allowed.release()
    assert source.read() is None
    assert metronome.closed.wait(5)


@pytest.mark.parametrize(("stamp", "age"), [(0.25, 0.25), (-1.0, 0.0), (1e5, 0.0)])
def test_a_frame_is_as_old_as_its_time_stamp_says(
    metronome: Metronome, stamp: float, age: float
) -> None:
    """Unless that is by another clock."""
    source = NewestFrame("camera", lambda: metronome, timeout_s=5)
    metronome.age_s = stamp
    metronome.taken.acquire()
    before = time.perf_counter(), time.time()
    metronome.deliver(1)
    frame = source.read()
    assert frame is not None
    assert before[0] <= frame.clock + age <= time.perf_counter()
    assert before[1] <= frame.captured_at + age <= time.time()
    source.close()


def test_the_steady_state_uses_three_buffers(metronome: Metronome) -> None:
    source = NewestFrame("camera", lambda: metronome, timeout_s=5)
    metronome.taken.acquire()
    buffers = set()
    for _ in range(20):
        metronome.deliver(3)
        captured = source.read()
        assert captured is not None
        buffers.add(captured.image.ctypes.data)
    assert len(buffers) <= 3
    metronome.allowed.release()
    source.close()


def test_stop_ends_a_waiting_read(metronome: Metronome) -> None:
    stop = threading.Event()
    source = NewestFrame("camera", lambda: metronome, timeout_s=60, stop=stop)
    threading.Timer(0.05, stop.set).start()
    assert source.read() is None
    metronome.allowed.release()
    source.close()


def test_silence_is_a_time_out_and_not_the_end(metronome: Metronome) -> None:
    source = NewestFrame("camera", lambda: metronome, timeout_s=0.05)
    with pytest.raises(SourceTimeout, match=r"sent no frame for 0\.05 s"):
        source.read()
    metronome.allowed.release()
    source.close()


def test_an_error_in_the_thread_reaches_the_reader(metronome: Metronome) -> None:
    def break_down(into: object) -> None:
        raise RuntimeError("cable out")

    metronome.take = break_down  # type: ignore[method-assign]
    source = NewestFrame("camera", lambda: metronome, timeout_s=5)
    metronome.allowed.release()
    with pytest.raises(SourceError, match="cable out"):
        source.read()
    assert metronome.closed.wait(5)


def test_mjpeg_that_closes_ends(mjpeg_camera: Any) -> None:
    source = open_frames(mjpeg_camera.url, timeout_s=10, max_outage_s=0)
    assert source.live
    frames = read_all(source)
    assert 1 <= len(frames) <= mjpeg_camera.frames
    assert frames[0].image.shape == (120, 160, 3)
    # Whatever this machine's speed, every frame sent was either read or counted.
    assert sum(1 + f.dropped for f in frames) == frames[-1].index + 1
    assert frames[-1].index + 1 >= mjpeg_camera.frames - 1


def test_mjpeg_that_stalls_times_out(mjpeg_camera: Any) -> None:
    mjpeg_camera.then = "stall"
    source = open_frames(mjpeg_camera.url, timeout_s=1, max_outage_s=0)
    with pytest.raises(SourceTimeout, match="sent no frame for 1 s"):
        read_all(source)
    source.close()


def test_mjpeg_of_a_server_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/stream"
        with pytest.raises(SourceTimeout, match="did not answer in 1 s"):
            open_frames(url, timeout_s=1)


def test_mjpeg_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(SourceError, match="cannot be opened") as caught:
        open_frames(f"http://127.0.0.1:{port}/stream")
    assert not isinstance(caught.value, SourceTimeout)


def test_live_frames_are_stamped_when_caught() -> None:
    source = open_frames("synthetic:64x48@50")
    source.read()
    time.sleep(0.2)
    stale = time.perf_counter()
    captured = source.read()
    source.close()
    assert captured is not None
    # The slot holds the newest frame, not the one after the last read.
    assert captured.dropped >= 1
    assert captured.clock <= stale or captured.clock - stale < 0.2


def test_a_glob_gives_the_pictures_it_matches(picture: Picture, tmp_path: Path) -> None:
    for name, blue in (("b1.png", 1), ("b2.png", 2), ("c3.png", 3)):
        picture(name, (blue, 0, 0))
    (tmp_path / "b9.txt").write_text("no picture")
    frames = read_all(open_frames(f"{tmp_path}/b*"))
    assert [f.image[0, 0, 0] for f in frames] == [1, 2]
    with pytest.raises(EdgeCnnError, match="matches no pictures"):
        open_frames(f"{tmp_path}/z*.png")


def test_a_jetson_camera_is_a_pipeline() -> None:
    pipeline = gstreamer.with_sink(gstreamer.csi_pipeline(1, Wish((640, 480), 59.94)))
    assert pipeline.startswith("nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),width=640,")
    assert "framerate=60/1" in pipeline
    assert pipeline.endswith("format=BGR ! appsink drop=true max-buffers=1 sync=false")
    with pytest.raises(SourceError, match="as in csi://0"):
        open_frames("csi://front")


class StubbornCamera:
    """Says yes to every wish, as V4L2 drivers do, and stays at 320x240 and 15 a second."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.has = {
            cv2.CAP_PROP_FRAME_WIDTH: 320.0,
            cv2.CAP_PROP_FRAME_HEIGHT: 240.0,
            cv2.CAP_PROP_FPS: 15.0,
        }

    def set(self, wish: int, value: float) -> bool:
        self.asked.append(wish)
        return True

    def get(self, what: int) -> float:
        return self.has[what]


def test_what_a_camera_gives_is_read_back() -> None:
    camera, wish = StubbornCamera(), Wish((640, 480), 30)
    v4l2.ask(camera, wish)
    assert camera.asked[0] == cv2.CAP_PROP_FOURCC
    assert len(camera.asked) == 4
    assert v4l2.unmet(camera, wish) == (
        "gives 320x240 and not 640x480, 15 frames a second and not 30"
    )
    assert v4l2.unmet(camera, Wish((320, 240), 15)) is None
    assert v4l2.unmet(camera, Wish()) is None


def test_a_camera_that_does_not_open_names_who_has_it(tmp_path: Path) -> None:
    device = tmp_path.resolve() / "video0"
    device.touch()
    assert "another user's program" in v4l2.why_closed(device)
    holding = "import sys; f = open(sys.argv[1]); print(1, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holding, device],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert f"(process {other.pid})" in v4l2.why_closed(device)
        with device.open():
            assert "earlier read still waits" in v4l2.why_closed(device)
        other.communicate()
