"""An output beside the live loop: whatever it takes its time for, no frame waits for it."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace

import numpy as np

from edgecnn.preprocessing import Frame
from edgecnn.targets.captured import Captured
from edgecnn.targets.live.sinks import Sink
from edgecnn.targets.prediction import Prediction

log = logging.getLogger(__name__)
POLL_S = 0.1
GRACE_S = 2.0
"""How long an end that was asked for waits for what is not written yet; systemd allows five."""


class Beside:
    """Makes, feeds and closes an output in a thread of its own.

    Frames of a camera do not wait: what an output has no room for is left out, counted and said.
    With `waits`, for files, which do wait, the loop goes as fast as the output, and nothing is
    left out unless `stop` is set.
    """

    def __init__(
        self,
        make: Callable[[], Sink],
        name: str,
        *,
        waits: bool,
        room: int,
        stop: threading.Event,
        pixels: bool = False,
        only_newest_counts: bool = False,
    ) -> None:
        """`room` answers may be on their way; their frames are copied where `pixels` are needed.

        Where `only_newest_counts`, nobody is told what was left out. Raises what `make` does.
        """
        self._name, self._waits, self._room, self._stop = name, waits, room, stop
        self._pixels, self._silent = pixels, only_newest_counts
        self._change = threading.Condition()
        self._queue: deque[tuple[Prediction, Captured]] = deque()
        self._spare: list[Frame] = []
        self._closed = False
        self._error: Exception | None = None
        self.lost = 0
        """Answers left out."""
        made: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._work, args=(make, made), name=name, daemon=True
        )
        self._thread.start()
        made.result()

    def write(self, prediction: Prediction, captured: Captured) -> None:
        """Take one answer; raises what the output raised meanwhile."""
        with self._change:
            while self._waits and self._full and not (self._error or self._stop.is_set()):
                self._change.wait(POLL_S)
            if self._error:
                error, self._error = self._error, None
                raise error
            if self._full or not self._thread.is_alive():
                self._leave_out()
                return
            if self._pixels:
                captured = replace(captured, image=self._copy(captured.image))
            self._queue.append((prediction, captured))
            self._change.notify_all()

    def close(self) -> None:
        """Wait for what is on its way, and close; raises what the output raised meanwhile."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        while self._waits and self._thread.is_alive() and not self._stop.is_set():
            self._thread.join(POLL_S)
        self._thread.join(GRACE_S)
        with self._change:
            self.lost += len(self._queue)
            self._queue.clear()
        if self.lost and not self._silent:
            log.warning("edgecnn: %s: %d answers were left out in all.", self._name, self.lost)
        if self._error:
            error, self._error = self._error, None
            raise error

    @property
    def _full(self) -> bool:
        return len(self._queue) >= self._room

    def _leave_out(self) -> None:
        self.lost += 1
        # As with damaged frames: a line for 1, 10, 100, ... of them.
        if not self._silent and str(self.lost).strip("0") == "1":
            log.warning(
                "edgecnn: %s is too slow: answers are left out (%d so far).", self._name, self.lost
            )

    def _copy(self, image: Frame) -> Frame:
        if self._spare and self._spare[-1].shape == image.shape:
            buffer = self._spare.pop()
            np.copyto(buffer, image)
            return buffer
        self._spare.clear()
        return image.copy()

    def _work(self, make: Callable[[], Sink], made: "Future[None]") -> None:
        try:
            sink = make()
        except BaseException as error:
            made.set_exception(error)
            return
        made.set_result(None)
        try:
            try:
                while (answer := self._next()) is not None:
                    sink.write(*answer)
                    if self._pixels:
                        self._spare.append(answer[1].image)
            finally:
                sink.close()
        except Exception as error:
            with self._change:
                self._error = error
                self._change.notify_all()

    def _next(self) -> tuple[Prediction, Captured] | None:
        with self._change:
            while not (self._queue or self._closed):
                self._change.wait()
            answer = self._queue.popleft() if self._queue else None
            self._change.notify_all()
            return answer
