"""Notices an engine that hangs.

A camera that is away is no reason: the source reports it and connects again. But a call into an
engine's native code that does not return cannot be broken off from within; what can be done is
to say so, and to stop telling systemd that all is well, which then starts the program again.
"""

import logging
import threading
import time
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edgecnn.targets.engines.session import Session
from edgecnn.targets.live.systemd import WATCHDOG_S, Notifier

log = logging.getLogger(__name__)
HUNG_S = 10.0
POLL_S = 1.0


class WatchedSession:
    """A `Session` that knows since when it has been inferring."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.engine, self.threads = session.engine, session.threads
        self.input_shape, self.classes = session.input_shape, session.classes
        self.since: float | None = None
        """`time.monotonic` when the call in progress began; None between calls."""

    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Session`."""
        self.since = time.monotonic()
        try:
            return self._session.infer(image)
        finally:
            self.since = None


class Watchdog:
    """A thread that looks at a session every second; a context manager.

    While no call lasts longer than `hung_s` it tells systemd's watchdog that all is well.
    """

    def __init__(
        self, session: WatchedSession, notifier: Notifier, *, hung_s: float = HUNG_S
    ) -> None:
        self._session, self._notifier, self._hung_s = session, notifier, hung_s
        self._over = threading.Event()
        self._poll_s = min(POLL_S, hung_s / 4, WATCHDOG_S / 4)
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._notifier.tell(READY="1", WATCHDOG="1")
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        self._notifier.tell(STOPPING="1")

    def _watch(self) -> None:
        said = False
        while not self._over.wait(self._poll_s):
            since = self._session.since
            hangs = since is not None and time.monotonic() - since > self._hung_s
            if not hangs:
                self._notifier.tell(WATCHDOG="1")
            elif not said:
                message = f"{self._session.engine} has not answered for {self._hung_s:g} s"
                log.error("edgecnn: %s: it hangs. Start edgecnn again.", message)
                self._notifier.tell(STATUS=message)
            said = hangs
