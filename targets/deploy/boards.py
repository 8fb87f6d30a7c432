"""Several boards at once, each with a thread and a connection of its own."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from edgecnn.arguments import words
from edgecnn.errors import EdgeCnnError
from edgecnn.targets.deploy.ssh import Connection

AT_ONCE = 16
Result = TypeVar("Result")


def on_each(
    hosts: str | Sequence[str],
    act: Callable[[Connection], Result],
    failed: Callable[[str, str], Result],
) -> list[tuple[Result, float]]:
    """What `act` gives for each board, or `failed` of its name and the reason: none stops others.

    With the seconds it took; each board once, in the order named.
    """
    connections: list[Connection] = []

    def timed(host: str) -> tuple[Result, float]:
        start = time.monotonic()
        result = one(host)
        return result, round(time.monotonic() - start, 1)

    def one(host: str) -> Result:
        try:
            with Connection(host) as connection:
                connections.append(connection)
                return act(connection)
        except EdgeCnnError as error:
            return failed(host, str(error))

    with ThreadPoolExecutor(AT_ONCE) as threads:
        try:
            return list(threads.map(timed, dict.fromkeys(words(hosts))))
        except BaseException:
            # Ctrl-C: without this, every board would be waited for.
            for connection in connections:
                connection.hang_up()
            raise
