"""Whether the live loop gets on: one idea of it for systemd, `/healthz` and the fleet."""

import time

HUNG_S = 10.0


class Pulse:
    """What the loop is doing and since when; written by the loop, read by any thread.

    Waiting for a camera or for the next frame's turn is no standstill, however long it takes:
    sources that are away say so themselves and connect again.
    """

    def __init__(self) -> None:
        self._now: tuple[str, float] | None = None

    def waits(self) -> None:
        """The loop waits, as it should."""
        self._now = None

    def does(self, what: str) -> None:
        """The loop hands over to something that is to come back soon."""
        self._now = what, time.monotonic()

    def stuck(self, after_s: float = HUNG_S) -> str | None:
        """What has not come back for so long; None while the loop gets on."""
        now = self._now
        return now[0] if now and time.monotonic() - now[1] > after_s else None
