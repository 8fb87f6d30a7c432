"""A live source that comes back: after silence, a closed stream or a pulled cable."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import chain, repeat

from edgecnn.errors import SourceError, SourceOutage
from edgecnn.targets.captured import Captured
from edgecnn.targets.live.sources.newest import NewestFrame

log = logging.getLogger(__name__)
BACK_OFF_S = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Pauses before the first attempts to connect again; the last one repeats."""


class Reconnecting:
    """A `FrameSource` that connects again whenever its live source ends or breaks.

    What happens is logged: a line when the source is lost, one when another reason keeps it
    away, one when it is back. `max_outage_s` is how long it may be away before `read` raises
    `SourceOutage`; None is for ever. The first connection is not retried: an address that never
    worked is more likely a mistake. Frame numbers go on over a reconnection.
    """

    live = True

    def __init__(
        self,
        connect: Callable[[], NewestFrame],
        *,
        max_outage_s: float | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._connect = connect
        self._max_outage_s = max_outage_s
        self._stop = stop or threading.Event()
        self._source: NewestFrame | None = connect()
        self.uri, self.fps = self._source.uri, self._source.fps
        self._next_index = self._offset = 0
        self._last_frame = time.monotonic()

    def read(self) -> Captured | None:
        """The newest frame not yet read, reconnecting until there is one.

        None when `stop` was set, or a source that has an end reached it.
        """
        pauses = chain(BACK_OFF_S, repeat(BACK_OFF_S[-1]))
        attempts, said = 0, ""
        while True:
            captured, reason = self._try()
            if captured:
                if attempts:
                    away = time.monotonic() - self._last_frame
                    log.warning("edgecnn: %s is back after %.1f s.", self.uri, away)
                self._last_frame = time.monotonic()
                return captured
            if reason is None or self._stop.is_set():
                return None
            away = time.monotonic() - self._last_frame
            if self._max_outage_s is not None and away >= self._max_outage_s:
                raise SourceOutage(
                    f"{self.uri} was away for {away:.1f} s, longer than --max-outage "
                    f"{self._max_outage_s:g}: {reason}"
                )
            pause = next(pauses)
            if reason != said:
                log.warning("edgecnn: %s Connecting again.", reason)
                said = reason
            attempts += 1
            if self._stop.wait(pause):
                return None

    def close(self) -> None:
        """Let go of the source."""
        if self._source:
            self._source.close()

    def _try(self) -> tuple[Captured | None, str | None]:
        """A frame; or None and why there is none; or neither, at an end that is meant."""
        try:
            if self._source is None:
                self._source = self._connect()
                self._offset, self.fps = self._next_index, self._source.fps
            captured = self._source.read()
        except SourceError as error:
            if self._source and not self._source.endless:
                raise  # a film does not come back
            self._let_go()
            return None, str(error)
        if captured is None:
            ended = not (self._source.endless or self._stop.is_set())
            self._let_go()
            return None, None if ended else f"{self.uri} ended its stream."
        captured = replace(captured, index=self._offset + captured.index)
        self._next_index = captured.index + 1
        return captured, None

    def _let_go(self) -> None:
        if self._source:
            self._source.close()
        self._source = None
