"""What the page shows beside the picture."""

import json
import threading
import time
from collections import deque
from collections.abc import Callable

from edgecnn.targets.prediction import Prediction

SILENT_S = 5.0
"""A loop without an answer for this long is not live."""
HISTORY_S, STEP_S = 60.0, 0.25


class Status:
    """The newest answer and counts; written by the live loop, read by the server's thread."""

    def __init__(self, bundle: str, runtime: str, temperature: Callable[[], float | None]) -> None:
        self._constant = {"bundle": bundle, "runtime": runtime}
        self._temperature = temperature
        self._lock = threading.Lock()
        self._newest: Prediction | None = None
        self._frames = self._dropped = 0
        self._answered = time.monotonic()
        self._fps = 0.0
        self._history: deque[dict[str, float]] = deque(maxlen=round(HISTORY_S / STEP_S))
        self._next_step = 0.0

    def note(self, prediction: Prediction) -> None:
        """Take one answer."""
        now = time.monotonic()
        with self._lock:
            passed = now - self._answered
            if self._frames and passed > 0:
                # An average over about the last second, whatever the rate.
                weight = min(1.0, passed)
                self._fps += weight * (1 / passed - self._fps)
            self._newest = prediction
            self._answered = now
            self._frames += 1
            self._dropped += prediction.dropped
            if now >= self._next_step:
                self._next_step = now + STEP_S
                self._history.append({"time": time.time(), **_figures(prediction)})

    @property
    def silent_s(self) -> float:
        """Time since the last answer, in seconds."""
        return time.monotonic() - self._answered

    @property
    def live(self) -> bool:
        """Whether answers are coming."""
        return self._newest is not None and self.silent_s < SILENT_S

    def to_json(self) -> bytes:
        """One event of the page."""
        with self._lock:
            newest, frames, dropped, fps = self._newest, self._frames, self._dropped, self._fps
        shown = {
            **self._constant,
            "time": time.time(),
            "live": self.live,
            "silent_s": round(self.silent_s, 1),
            "frames": frames,
            "dropped": dropped,
            "fps": round(fps, 2),
            "temperature_c": self._temperature(),
        }
        if newest:
            line = newest.to_json()
            shown |= {
                "top": line["top"],
                "labels": line.get("labels"),
                "answer": newest.answer,
                "possible": line.get("possible"),
                "alarm": newest.alarm.text if newest.alarm else None,
                "decision": newest.decision.answer if newest.decision else None,
                **_figures(newest),
            }
        return json.dumps(shown, ensure_ascii=False).encode()

    def history_json(self) -> bytes:
        """The last minute's figures, for a page that was just opened."""
        with self._lock:
            return json.dumps(list(self._history)).encode()


def _figures(prediction: Prediction) -> dict[str, float]:
    latency = prediction.latency_ms
    return {"inference_ms": round(latency.inference, 3), "age_ms": round(latency.age, 3)}
