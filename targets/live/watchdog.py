"""Notices a loop that no longer gets on.

A call into an engine's native code that does not return, or a disk that hangs, cannot be broken off
from within; what can be done is to say so, and to stop telling systemd that all is well, which then
starts the program again.
"""

import logging
import threading
from typing import Self

from edgecnn.targets.live.pulse import HUNG_S, Pulse
from edgecnn.targets.live.systemd import WATCHDOG_S, Notifier

log = logging.getLogger(__name__)
POLL_S = 1.0


class Watchdog:
    """A thread that feels a loop's pulse every second; a context manager.

    While nothing in the loop takes longer than `hung_s` it tells systemd's watchdog that all is
    well.
    """

    def __init__(self, pulse: Pulse, notifier: Notifier, *, hung_s: float = HUNG_S) -> None:
        self._pulse, self._notifier, self._hung_s = pulse, notifier, hung_s
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
        said = None
        while not self._over.wait(self._poll_s):
            stuck = self._pulse.stuck(self._hung_s)
            if stuck is None:
                self._notifier.tell(WATCHDOG="1")
            elif stuck != said:
                message = f"{stuck} has not answered for {self._hung_s:g} s"
                log.error("edgecnn: %s: it hangs. Start edgecnn again.", message)
                self._notifier.tell(STATUS=message)
            said = stuck
