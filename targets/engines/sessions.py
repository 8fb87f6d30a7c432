"""One model in several sessions, so that several pictures are in an engine at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edgecnn.parallel import in_order
from edgecnn.targets.engines.session import Runtime, Session

MOST = 4
"""Each holds the weights again, and more than a few gain little."""


@dataclass(frozen=True)
class Sessions:
    """For many pictures: each core computes one, where all would wait for each other at each layer.

    For one picture at a time, as a camera gives them, it is the other way round.
    """

    name: str
    format: str
    opened: tuple[Session, ...]

    @classmethod
    def open(cls, runtime: Runtime, model: Path, threads: int) -> Self:
        """As `Runtime.open`, with so many threads in all."""
        count = min(threads, MOST)
        opened = [runtime.open(model, threads // count) for _ in range(count)]
        return cls(runtime.name, runtime.format, tuple(opened))

    @property
    def first(self) -> Session:
        """One of them."""
        return self.opened[0]

    def answers(self, images: NDArray[np.uint8]) -> Iterator[NDArray[np.float32]]:
        """Probabilities `(outputs,)` of uint8 pictures (count, H, W, C), in their order.

        Raises `RuntimeUnavailable` if the engine fails.
        """
        free: SimpleQueue[Session] = SimpleQueue()
        for session in self.opened:
            free.put(session)

        def answer(image: NDArray[np.uint8]) -> NDArray[np.float32]:
            session = free.get()
            try:
                return session.infer(image[None])
            finally:
                free.put(session)

        return in_order(answer, images, ahead=2)
