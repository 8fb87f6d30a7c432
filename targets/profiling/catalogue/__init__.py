"""Known boards as data, and whether a network fits one of them.

A board is a TOML file in this folder; `README.md` explains its keys.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

from edgecnn.errors import RuntimeUnavailable, UnknownName
from edgecnn.targets.board.target import detect, target
from edgecnn.targets.engines import runtimes
from edgecnn.targets.engines.memory_model import NetworkMemory
from edgecnn.targets.live.frame_memory import frame_bytes
from edgecnn.targets.profiling.baseline import baseline
from edgecnn.targets.profiling.profile import PredictedBytes
from edgecnn.targets.profiling.profiler import predict


@dataclass(frozen=True)
class KnownBoard:
    """What is published about a board."""

    name: str
    kind: str
    cpu: str
    cores: int
    clock_mhz: int
    ram_bytes: int
    free_bytes: int
    free_basis: str
    quirks: tuple[str, ...]
    latencies: str | None = None
    """Under this name others' measurements on its processor are kept."""


@dataclass(frozen=True)
class Published:
    """How long networks of the zoo took on a board, as somebody published it."""

    engine: str
    precision: str
    """In which the engine computed."""
    threads: int
    source: str
    """The address it was read at."""
    ms: dict[str, float]
    """By architecture, at its own input."""


@dataclass(frozen=True)
class Fit:
    """Whether a network's process fits a board's free memory."""

    name: str
    board: KnownBoard
    runtime: str
    predicted: PredictedBytes
    frame_bytes: int
    """A 640×480 camera's frames, and the buffers in which they become the network's input."""

    @property
    def peak_bytes(self) -> int:
        """Of a process that classifies a camera."""
        return self.predicted.peak + self.frame_bytes

    @property
    def margin_bytes(self) -> int:
        """What stays free; negative where the network does not fit."""
        return self.board.free_bytes - self.peak_bytes

    @property
    def fits(self) -> bool:
        """Whether the predicted peak is within what the board leaves free."""
        return self.margin_bytes >= 0

    def to_json(self) -> dict[str, Any]:
        """The `board` of `analyze --json`."""
        return {
            "name": self.name,
            "ram_bytes": self.board.ram_bytes,
            "free_bytes": self.board.free_bytes,
            "free_basis": self.board.free_basis,
            "fits": self.fits,
            "predicted_peak_bytes": self.peak_bytes,
            "predicted_bytes": asdict(self.predicted) | {"frames": self.frame_bytes},
            "margin_bytes": self.margin_bytes,
            "runtime": self.runtime,
            "quirks": list(self.board.quirks),
        }


def names() -> tuple[str, ...]:
    """The boards there are."""
    folder = resources.files("edgecnn.targets.profiling.catalogue")
    found = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml")))


def load(name: str) -> KnownBoard:
    """The board of that name; `UnknownName` for any other word."""
    if name not in names():
        raise UnknownName("board", name, names())
    text = (resources.files("edgecnn.targets.profiling.catalogue") / f"{name}.toml").read_text(
        "utf-8"
    )
    data = tomllib.loads(text)
    return KnownBoard(**data | {"quirks": tuple(data["quirks"])})


def published(board: KnownBoard) -> tuple[Published, ...]:
    """What is published of latencies on a board's processor: nothing, mostly."""
    if board.latencies is None:
        return ()
    folder = resources.files("edgecnn.targets.profiling.catalogue") / "latencies"
    data = tomllib.loads((folder / f"{board.latencies}.toml").read_text("utf-8"))
    return tuple(Published(**table) for table in data["latencies"])


def engines(kind: str) -> tuple[str, ...]:
    """Engines that a kind of board prefers and that are installed here, for its cores.

    Raises `RuntimeUnavailable` where there is none.
    """
    # Of a GPU's memory this machine can tell nothing.
    on_cores = (name for name in target(kind).runtimes if name in runtimes.RUNTIMES)
    found = tuple(name for name in on_cores if runtimes.missing(name) is None)
    if not found:
        raise RuntimeUnavailable(
            "The engine's own part of the memory is measured here, and none is installed: "
            "pip install ai-edge-litert"
        )
    return found


def fit(analysis: Mapping[str, Any], name: str) -> Fit:
    """Whether the network of a RAM analysis (its JSON) fits a board.

    The engine is the first of the board's preferred ones that is installed here, and its own
    memory is what it takes on this machine, measured once (seconds): a stand-in, since the
    board's engine is the same version for another processor. Raises `UnknownName`, or
    `RuntimeUnavailable` where no engine is installed.
    """
    board = load(name)
    runtime = engines(board.kind)[0]
    here = detect()
    # Engines keep something for each thread: as many threads as this machine and the board have.
    constants = baseline(runtime, min(board.cores, here.threads), here)
    network = NetworkMemory.of_analysis(analysis)
    picture = analysis["layers"][0]["output_shape"]
    predicted = predict(runtimes.get(runtime), network, constants)
    return Fit(name, board, runtime, predicted, frame_bytes(picture))
