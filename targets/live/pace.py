"""How often a frame is looked at: a limit to save power, lowered while frames get too old."""

import logging
import math
import threading
import time

from edgecnn.percentile import percentile

log = logging.getLogger(__name__)
WINDOW = 100
WINDOW_S = 10.0
LOWEST_FPS = 0.5


class AgeLimit:
    """The rate at which frames stay young enough.

    After every 100 answers or 10 seconds it looks at the 99th percentile of their ages: over
    `max_age_ms` the rate goes down by a fifth, to no less than one frame in two seconds; well
    under it, back up by a tenth.
    """

    def __init__(self, max_age_ms: float, max_fps: float | None = None) -> None:
        self.fps = max_fps
        """Frames a second to keep to; None: no limit."""
        self._max_age_ms = max_age_ms
        self._max_fps = max_fps
        self._ages: list[float] = []
        self._started: float | None = None

    def note(self, age_ms: float, clock: float) -> str | None:
        """Take the age of an answer given at `clock` (seconds); says what changed, if it did."""
        if self._started is None:
            self._started = clock
            return None
        self._ages.append(age_ms)
        passed = clock - self._started
        if len(self._ages) < WINDOW and passed < WINDOW_S:
            return None
        p99 = percentile(self._ages, 99)
        achieved = len(self._ages) / max(passed, 1e-9)
        self._ages.clear()
        self._started = clock
        return self._adapt(p99, achieved)

    def _adapt(self, p99: float, achieved: float) -> str | None:
        before = self.fps
        if p99 > self._max_age_ms:
            self.fps = max(LOWEST_FPS, 0.8 * min(achieved, before or math.inf))
            if before is not None and self.fps >= before:
                self.fps = before
        elif p99 < 0.7 * self._max_age_ms and before is not None:
            raised = 1.1 * before
            if self._max_fps is not None:
                self.fps = min(raised, self._max_fps)
            else:
                # A limit that the source or the network does not reach is none.
                self.fps = None if raised > 1.5 * achieved else raised
        if self.fps == before:
            return None
        rate = "no limit" if self.fps is None else f"{self.fps:.1f} frames a second"
        over = "over" if p99 > self._max_age_ms else "under"
        return f"frames are {p99:.0f} ms old at p99, {over} {self._max_age_ms:g}: now {rate}"


class Pace:
    """Waits between frames so that no more than `max_fps` are looked at in a second."""

    def __init__(self, max_fps: float | None = None, max_age_ms: float | None = None) -> None:
        self._max_fps = max_fps
        self._limit = AgeLimit(max_age_ms, max_fps) if max_age_ms is not None else None
        self._due = 0.0

    @property
    def fps(self) -> float | None:
        """The limit at this moment."""
        return self._limit.fps if self._limit else self._max_fps

    def wait(self, stop: threading.Event) -> None:
        """Wait until the next frame is due, or `stop` is set."""
        if self.fps is None:
            return
        now = time.perf_counter()
        if (left := self._due - now) > 0:
            stop.wait(left)
        # A frame that came late does not let the next ones come in a bunch.
        self._due = max(self._due, now) + 1 / self.fps

    def answered(self, age_ms: float) -> None:
        """Take the age of an answer; a change of pace is logged."""
        if self._limit and (change := self._limit.note(age_ms, time.perf_counter())):
            log.warning("edgecnn: %s.", change)
