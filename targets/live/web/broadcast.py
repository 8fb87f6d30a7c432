"""One message for many readers: the newest wins, slow readers skip."""

import asyncio


class Broadcast:
    """Holds the newest message; belongs to one event loop."""

    def __init__(self) -> None:
        self.readers = 0
        """How many are waiting for messages; the producer can rest at none."""
        self._message = b""
        self._number = 0
        self._changed = asyncio.Event()

    def publish(self, message: bytes) -> None:
        """Replace the message and wake every reader. Only in the event loop's thread."""
        self._message = message
        self._number += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def newer_than(self, number: int) -> tuple[int, bytes]:
        """The newest message and its number, as soon as that is above `number`."""
        while self._number <= number:
            await self._changed.wait()
        return self._number, self._message
