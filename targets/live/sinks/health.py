"""How a run is doing, for who watches over many: `edgecnn fleet` reads it."""

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any

from edgecnn import __version__
from edgecnn.percentile import percentile
from edgecnn.targets.board.target import Target
from edgecnn.targets.captured import Captured
from edgecnn.targets.classifier import Classifier
from edgecnn.targets.live.pulse import Pulse
from edgecnn.targets.prediction import Prediction, Shadowed

NAME = "health"
WINDOW = 1000
"""Answers that the percentiles are of."""
FIRST_PAUSES_S = (0.5, 1, 2, 4)
PAUSE_S = 10


class Health:
    """Tells from time to time what runs, how fast, how fresh and how hot.

    It sees every answer, also where only changes are published.
    """

    def __init__(
        self,
        tell: Callable[[str, Mapping[str, Any]], None],
        classifier: Classifier,
        board: Target,
        pulse: Pulse | None = None,
    ) -> None:
        bundle = classifier.bundle
        self._tell = tell
        self._pulse = pulse or Pulse()
        self._board = board
        self._constant = {
            "bundle": bundle.name,
            "bundle_version": bundle.version,
            "weights": bundle.weights.kind,
            "engine": classifier.session.engine,
            "board": board.board,
            "edgecnn": __version__,
            "since": time.time(),
        }
        self._lock = threading.Lock()
        self._latencies_ms: deque[float] = deque(maxlen=WINDOW)
        self._ages_ms: deque[float] = deque(maxlen=WINDOW)
        self._frames = self._dropped = 0
        self._alarm = ""
        self._shadow: Shadowed | None = None
        self._answered = time.monotonic()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._repeat, name="health", daemon=True)
        self._thread.start()

    def write(self, prediction: Prediction, captured: Captured) -> None:  # noqa: ARG002
        """Take one answer."""
        latency = prediction.latency_ms
        with self._lock:
            self._latencies_ms.append(latency.preprocess + latency.inference + latency.postprocess)
            self._ages_ms.append(latency.age)
            self._frames += 1
            self._dropped += prediction.dropped
            self._alarm = prediction.alarm.text if prediction.alarm else ""
            self._shadow = prediction.shadow
            self._answered = time.monotonic()

    def close(self) -> None:
        """Tell once more, and end."""
        self._closed.set()
        self._thread.join()

    def _repeat(self) -> None:
        for pause in itertools.chain(FIRST_PAUSES_S, itertools.repeat(PAUSE_S)):
            ends = self._closed.wait(pause)
            self._tell(NAME, self._state())
            if ends:
                return

    def _state(self) -> dict[str, Any]:
        # A board may take its time to be read, and the loop waits for the lock.
        temperature = self._board.telemetry().temperature_c
        with self._lock:
            frames, dropped, answered = self._frames, self._dropped, self._answered
            alarm, shadow = self._alarm, self._shadow
            latencies, ages = list(self._latencies_ms), list(self._ages_ms)
        return {
            **self._constant,
            "frames": frames,
            "dropped": dropped,
            # From the frame's arrival to the answer; its age counts from its capture.
            "latency_p99_ms": _p99(latencies),
            "age_p99_ms": _p99(ages),
            # Told as a duration: clocks of boards without a network may be off.
            "silent_s": round(time.monotonic() - answered, 1),
            "stuck": self._pulse.stuck(),
            "alarm": alarm or None,
            **({"shadow": shadow.to_json()} if shadow else {}),
            "temperature_c": temperature,
        }


def _p99(values: Collection[float]) -> float | None:
    return round(percentile(values, 99), 3) if values else None
