"""Looking at the machine while another process is measured.

The process that started the measurement has nothing else to do, so a thread of its own costs the
measured one neither its interpreter's lock nor memory.
"""

import threading
import time
from dataclasses import dataclass
from typing import Self

import psutil

from edgecnn.targets.board.target import Target
from edgecnn.targets.board.telemetry import Telemetry
from edgecnn.targets.profiling.disturbance import CpuClock, Disturbance

PERIOD_S = 1.0


@dataclass(frozen=True)
class Reading:
    """The machine at one moment."""

    clock: float
    """On `time.perf_counter`, which all processes share."""
    telemetry: Telemetry
    disturbance: Disturbance
    """Since the reading before."""


class Observer:
    """Reads the machine once a second, from entering until leaving or the process's end."""

    def __init__(self, board: Target, pid: int) -> None:
        self.readings: list[Reading] = []
        self._board, self._process = board, psutil.Process(pid)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._observe, name="observer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _observe(self) -> None:
        disturbance = Disturbance(None, None)
        clock = self._clock()
        while clock:
            self.readings.append(Reading(time.perf_counter(), self._board.telemetry(), disturbance))
            if self._stop.wait(PERIOD_S):
                return
            before, clock = clock, self._clock()
            if clock:
                disturbance = Disturbance.between(before, clock)

    def _clock(self) -> CpuClock | None:
        try:
            spent = self._process.cpu_times()
        except psutil.NoSuchProcess:
            return None
        return CpuClock.now(self._board.machine, spent.user + spent.system)
