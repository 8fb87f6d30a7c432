"""The newest frame of a live device, and never an older one.

A device that is read only when the network is ready hands out what it queued meanwhile: the
label lags behind the camera, more with every frame. So a thread reads the device as fast as it
delivers and keeps one frame, the newest.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from edgecnn.errors import EdgeCnnError, SourceError, SourceTimeout
from edgecnn.preprocessing import Frame
from edgecnn.targets.captured import Captured

log = logging.getLogger(__name__)
STOP_POLL_S = 0.1
OLDEST_S = 10.0
"""Time stamps that say older, or newer than now, are by another clock."""
BUFFERS = 3
"""One frame is the reader's, one the newest, and one is being filled."""


class Device(Protocol):
    """A camera or stream, read from one thread."""

    fps: float | None
    endless: bool
    """Whether the end of its stream is a failure, as it is for a camera."""
    age_s: float
    """How long ago the frame that `wait` found was exposed, by its own time stamp; 0 where it has
    none."""

    def wait(self) -> bool:
        """Block until the next frame is there; False at the end of the stream."""
        ...

    def take(self, into: Frame | None) -> Frame | None:
        """Decode that frame, into the given buffer where it fits; None if it is unreadable."""
        ...

    def close(self) -> None:
        """Let go of the device."""
        ...


class NewestFrame:
    """A `FrameSource` that reads a device in a thread and hands out its newest frame.

    `open_device` is called in that thread, since connecting to a network camera can block for
    seconds and a signal must still be answered. Setting `stop` ends a waiting `read` as the end
    of the stream would.
    """

    live = True

    def __init__(
        self,
        uri: str,
        open_device: Callable[[], Device],
        *,
        timeout_s: float,
        stop: threading.Event | None = None,
    ) -> None:
        self.uri = uri
        self.fps: float | None = None
        self.endless = True
        self._open_device = open_device
        self._timeout_s = timeout_s
        self._stop = stop or threading.Event()
        self._closed = threading.Event()
        self._fresh = threading.Condition()
        self._newest: Captured | None = None
        self._last_index = -1
        self._opened = self._ended = False
        self._error: EdgeCnnError | None = None
        # With those in `_newest` and `_lent`, there are never more than `BUFFERS`.
        self._spare: list[Frame] = []
        self._lent: Captured | None = None
        self._thread = threading.Thread(target=self._grab, name=f"grab {uri}", daemon=True)
        self._thread.start()
        try:
            self._wait_until_open()
        except BaseException:
            self.close()
            raise

    def read(self) -> Captured | None:
        """The newest frame not yet read, waiting for one if need be."""
        deadline = time.monotonic() + self._timeout_s
        with self._fresh:
            while self._newest is None:
                if self._error:
                    raise self._error
                if self._stop.is_set():
                    return None
                if self._ended:
                    if self._last_index < 0:
                        raise SourceError(
                            f"{self.uri} ended before its first whole frame: check that it serves "
                            "pictures or video."
                        )
                    return None
                left = deadline - time.monotonic()
                if left <= 0:
                    raise SourceTimeout(
                        f"{self.uri} sent no frame for {self._timeout_s:g} s: check the camera "
                        "or the server, or wait longer with --timeout."
                    )
                self._fresh.wait(min(left, STOP_POLL_S))
            newest, self._newest = self._newest, None
            if self._lent is not None:
                self._spare.append(self._lent.image)
            dropped = newest.index - self._last_index - 1
            self._last_index = newest.index
            self._lent = Captured(
                newest.image, newest.index, newest.captured_at, newest.clock, dropped
            )
            return self._lent

    def close(self) -> None:
        """Tell the thread to let go of the device; waits for it up to half a second."""
        self._closed.set()
        # A device that blocks in its driver or network stack lets go later, or with the process.
        self._thread.join(0.5)

    def _wait_until_open(self) -> None:
        with self._fresh:
            # The device has its own time-out for connecting; this one also covers a stuck driver.
            deadline = time.monotonic() + 2 * self._timeout_s
            while not self._opened and not self._error and not self._stop.is_set():
                if time.monotonic() > deadline:
                    raise SourceTimeout(f"{self.uri} did not open in {2 * self._timeout_s:g} s.")
                self._fresh.wait(STOP_POLL_S)
            if self._error:
                raise self._error

    def _grab(self) -> None:
        try:
            device = self._open_device()
        except EdgeCnnError as error:
            self._finish(error)
            return
        except Exception as error:
            self._finish(SourceError(f"{self.uri} does not open: {error}"))
            return
        try:
            with self._fresh:
                self.fps, self.endless, self._opened = device.fps, device.endless, True
                self._fresh.notify_all()
            self._pump(device)
            self._finish(None)
        except EdgeCnnError as error:
            self._finish(error)
        except Exception as error:
            self._finish(SourceError(f"{self.uri} broke: {error}"))
        finally:
            device.close()

    def _pump(self, device: Device) -> None:
        index = unreadable = 0
        while not self._closed.is_set() and device.wait():
            # Before decoding, which takes its time.
            age = device.age_s if 0 <= device.age_s <= OLDEST_S else 0.0
            now, clock = time.time() - age, time.perf_counter() - age
            with self._fresh:
                buffer = self._spare.pop() if self._spare else None
            image = device.take(buffer)
            index += 1
            if image is None:
                unreadable += 1
                self._report(unreadable)
                continue
            with self._fresh:
                if self._newest is not None:
                    self._spare.append(self._newest.image)
                self._newest = Captured(image, index - 1, now, clock)
                self._fresh.notify_all()

    def _report(self, unreadable: int) -> None:
        # A camera with a bad cable damages many: a line for 1, 10, 100, ... of them.
        if str(unreadable).strip("0") == "1":
            log.warning(
                "edgecnn: %s sent a frame that is cut off or damaged: skipped (%d so far).",
                self.uri,
                unreadable,
            )

    def _finish(self, error: EdgeCnnError | None) -> None:
        with self._fresh:
            self._error, self._ended = error, True
            self._fresh.notify_all()
