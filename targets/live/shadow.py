"""A candidate that looks at some of the frames beside the network in charge: `run --shadow`.

It never delays a frame: it works in a thread of its own with the least priority, on a copy, and
what comes while it is busy, or resting to keep within its share of a core, it does not see. What it
says goes nowhere but into the counts of where the two networks differ.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from edgecnn.errors import EdgeCnnError, RuntimeUnavailable
from edgecnn.preprocessing import Frame
from edgecnn.reliability import parse_share
from edgecnn.signature import TrustedKeys
from edgecnn.targets.captured import Captured
from edgecnn.targets.classifier import Classifier, load
from edgecnn.targets.prediction import Prediction, Shadowed

log = logging.getLogger(__name__)
NICE = 19
"""The least priority: what it computes with is what others leave."""
DEFAULT_SHARE = 0.1

Told = Callable[[Prediction, Captured], None]


@dataclass(frozen=True)
class ShadowOptions:
    """Which candidate, and how much of a core it may take."""

    bundle: Path
    share: float = DEFAULT_SHARE

    @classmethod
    def parse(cls, bundle: Path, share: str) -> Self:
        """As the command line has them; raises `EdgeCnnError` for what is no share."""
        found = parse_share(share)
        if found is None or not 0 < found <= 1:
            raise EdgeCnnError(f"--shadow-share {share}: it is a share of a core such as 10%.")
        return cls(bundle, found)

    def open(self, present: Classifier, trusted: TrustedKeys | None) -> "Shadow | None":
        """Load the candidate into the engine of the present network, with one thread.

        None, with a word, where it is the very same bundle: a service goes on as it was told when
        its candidate was promoted. Raises what `load` raises.
        """
        candidate = load(self.bundle, present.runtime, 1, region=present.region, trusted=trusted)
        if candidate.bundle.version == present.bundle.version:
            log.warning("edgecnn: --shadow %s is the bundle that runs: left out.", self.bundle)
            return None
        if not {*candidate.bundle.labels} & {*present.bundle.labels}:
            log.warning(
                "edgecnn: --shadow %s has no class in common with the bundle that runs: the two "
                "differ on every frame.",
                self.bundle,
            )
        return Shadow(candidate, self.share)


class Shadow:
    """Shows a candidate some frames, and counts where it differs."""

    def __init__(self, candidate: Classifier, share: float) -> None:
        self.version = candidate.bundle.version
        self.differ: Told | None = None
        """Told of each frame on which they differ, from another thread."""
        self._candidate, self._rest = candidate, 1 / share - 1
        self._change = threading.Condition()
        self._waiting: tuple[Prediction, Captured] | None = None
        self._buffer: Frame | None = None
        self._free = True
        self._closed = False
        self._counts = Shadowed(self.version)
        self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)
        self._thread.start()

    def __call__(self, prediction: Prediction, captured: Captured) -> Prediction:
        """Take an answer if the candidate is free; the same answer with the counts so far."""
        with self._change:
            if self._free and not self._closed:
                self._free = False
                self._waiting = prediction, replace(captured, image=self._copy(captured.image))
                self._change.notify()
            return replace(prediction, shadow=self._counts)

    def close(self) -> None:
        """End; the frame that it is looking at is not counted."""
        with self._change:
            self._closed = True
            self._change.notify()
        self._thread.join()

    def _copy(self, image: Frame) -> Frame:
        if self._buffer is None or self._buffer.shape != image.shape:
            self._buffer = image.copy()
        else:
            np.copyto(self._buffer, image)
        return self._buffer

    def _work(self) -> None:
        if hasattr(os, "setpriority"):
            # On Linux a thread has a priority of its own.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while (frame := self._next()) is not None:
            begun = time.perf_counter()
            try:
                self._look(*frame)
            except RuntimeUnavailable as error:
                log.warning("edgecnn: the shadow network ended: %s", error)
                return
            busy = time.perf_counter() - begun
            with self._change:
                self._change.wait_for(lambda: self._closed, busy * self._rest)
                self._free = True

    def _look(self, present: Prediction, captured: Captured) -> None:
        other = self._candidate.predict(captured)
        differs = other.labels != present.labels
        with self._change:
            self._counts = self._counts.counted(differs)
        if differs and self.differ is not None:
            self.differ(present, captured)

    def _next(self) -> tuple[Prediction, Captured] | None:
        with self._change:
            self._change.wait_for(lambda: self._closed or self._waiting is not None)
            frame, self._waiting = self._waiting, None
            return None if self._closed else frame
