"""What `edgecnn targets` lists: the board, the engines and the cameras found here."""

from dataclasses import asdict, dataclass
from typing import Any

from edgecnn.targets import probe, runtimes
from edgecnn.targets.sources import gstreamer, picamera, v4l2
from edgecnn.targets.target import TARGETS, Target, detect, target


@dataclass(frozen=True)
class Entry:
    """An engine or camera: whether it can be used here, and if not, why."""

    name: str
    available: bool
    reason: str | None = None
    engine: str | None = None
    """An engine's package."""
    version: str | None = None
    """Its version."""


@dataclass(frozen=True)
class Inventory:
    """Everything found on this machine."""

    detected: Target
    runtimes: tuple[Entry, ...]
    cameras: tuple[Entry, ...]

    def to_json(self) -> dict[str, Any]:
        """As `edgecnn targets --json` prints it."""
        board = self.detected
        return {
            "detected": {
                "target": board.name,
                "board": board.board,
                "cpu": board.cpu,
                "ram_bytes": board.ram_bytes,
                "threads": board.threads,
                "telemetry": board.telemetry().to_json(),
            },
            "runtimes": [asdict(entry) for entry in self.runtimes],
            "cameras": [
                {"name": e.name, "available": e.available, "reason": e.reason} for e in self.cameras
            ],
            "targets": [
                {
                    "name": name,
                    "runtimes": list(target(name).runtimes),
                    "not_built": list(target(name).not_built),
                }
                for name in TARGETS
            ],
        }


def inventory(board: Target | None = None) -> Inventory:
    """Look at this machine; every engine that is installed is loaded, to be sure."""
    return Inventory(
        detected=board or detect(),
        runtimes=tuple(_runtime(name) for name in runtimes.RUNTIMES),
        cameras=_cameras(),
    )


def _runtime(name: str) -> Entry:
    if reason := probe.why_not(name):
        return Entry(name, False, reason)
    engine, version = runtimes.get(name).engine().split(" ", 1)
    return Entry(name, True, None, engine, version)


def _cameras() -> tuple[Entry, ...]:
    found = [
        Entry(str(device), reason is None, reason)
        for device, reason in ((d, v4l2.why_not(d)) for d in v4l2.devices())
    ] or [Entry("v4l2", False, "no /dev/videoN: no camera is plugged in, or its driver is missing")]
    for name, reason in (("picamera2", picamera.why_not()), ("gstreamer", gstreamer.why_not())):
        found.append(Entry(name, reason is None, reason))
    found.append(Entry("synthetic", True))
    return tuple(found)
