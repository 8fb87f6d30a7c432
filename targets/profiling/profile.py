"""What a profile says: latency and memory of a bundle in each engine, measured and predicted."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from edgecnn.percentile import percentile
from edgecnn.spread import Estimate, Interval
from edgecnn.targets.engines.layer_times import LayerTime
from edgecnn.targets.profiling.energy import Energy
from edgecnn.targets.profiling.loadgen import SingleStream
from edgecnn.targets.profiling.roofline import Roofline
from edgecnn.targets.profiling.timeline import Drift, Moment


@dataclass(frozen=True)
class Distribution:
    """Latencies in milliseconds. No sample is left out: the slow ones are what a robot feels.

    Percentiles are nearest-rank: each is a latency that occurred. `p90` is the figure of MLPerf's
    single-stream scenario.
    """

    p50: float
    p90: float
    p99: float
    min: float
    max: float
    mean: float
    std: float

    @classmethod
    def of(cls, samples_ms: Sequence[float]) -> Self:
        """Of at least one sample."""
        values = np.asarray(samples_ms, float)
        return cls(
            percentile(values, 50),
            percentile(values, 90),
            percentile(values, 99),
            float(values.min()),
            float(values.max()),
            float(values.mean()),
            float(values.std()),
        )


@dataclass(frozen=True)
class Intervals:
    """The 95% interval of each percentile, in milliseconds; see `edgecnn.spread`."""

    p50: Interval
    p90: Interval
    p99: Interval

    @classmethod
    def of(cls, processes_ms: Sequence[Sequence[float]]) -> Self:
        """Of the samples of each process."""
        return cls(*(Estimate.of(processes_ms, p).interval for p in (50, 90, 99)))


@dataclass(frozen=True)
class EndToEnd:
    """A frame's way from the source to the label, medians in milliseconds."""

    capture: float
    preprocess: float
    inference: float
    postprocess: float
    total_p50: float
    total_p99: float


@dataclass(frozen=True)
class MemoryBytes:
    """Resident memory of a fresh process at each step, frames not included."""

    before_load: int
    """Python, numpy and OpenCV, before the engine is imported."""
    after_load: int
    after_first_inference: int
    peak: int
    proportional: int | None
    """After the measurement, shared pages divided by their users."""


@dataclass(frozen=True)
class PredictedBytes:
    """What the RAM analysis says the process needs; `peak` is the sum of the others."""

    weights: int
    """The file as the engine holds it, and its repacked copy."""
    arena: int
    """Activations and operator scratch."""
    graph: int
    """What the engine keeps for each operator: kernels made for it, plans, names."""
    baseline: int
    """The engine itself, with Python and all it imports."""
    peak: int


@dataclass(frozen=True)
class ProfileRun:
    """One engine with one number of threads, in processes of its own.

    Load, first inference and memory are those of the process whose peak is in the middle.
    """

    runtime: str
    engine: str
    precision: str
    threads: int
    count: int
    latency_ms: Distribution
    latency_interval_ms: Intervals
    samples_ms: tuple[float, ...]
    """In the order measured, one process after the other."""
    process_counts: tuple[int, ...]
    """How many of the samples each process gave."""
    warmup_count: int
    cpu_ms: float
    """Processor time an inference takes, all threads together."""
    end_to_end_ms: EndToEnd
    load_ms: float
    """Importing the engine and opening the model."""
    first_inference_ms: float
    memory_bytes: MemoryBytes
    artifact_bytes: int
    """The model's files."""
    thermal: dict[str, Any]
    """Readings `before` and `after`."""
    moments: tuple[Moment, ...]
    """Each second, with what the machine was like."""
    valid: bool
    invalid_reasons: tuple[str, ...]
    predicted_bytes: PredictedBytes | None = None
    """None for a bundle without RAM analysis, and on a GPU."""
    executed_ops: dict[str, int] | None = None
    """Operators by the precision they really ran in, where the engine tells."""
    layers: tuple[LayerTime, ...] | None = None
    """Time of each operator, where it was asked for and the engine shows it."""
    no_layers_reason: str = ""
    loadgen: SingleStream | None = None
    """MLPerf's single-stream scenario in the first process, where it was asked for."""
    drift: Drift | None = None
    """From the first to the last part, of a run that is long enough."""
    energy: Energy | None = None
    """Of an inference, where the board shows its power and the run is long enough."""
    roofline: Roofline | None = None
    """What engine and machine can do at best, where it was asked for."""

    @property
    def prediction_error(self) -> float | None:
        """(predicted - measured) / measured of the peak, a fraction; None without prediction."""
        if self.predicted_bytes is None:
            return None
        return self.predicted_bytes.peak / self.memory_bytes.peak - 1

    @property
    def executed_wider(self) -> str | None:
        """`fp16` where most operators ran in that in place of the bundle's precision."""
        if not self.executed_ops:
            return None
        most = max(self.executed_ops, key=self.executed_ops.__getitem__)
        return None if most == self.precision else most

    def to_json(self) -> dict[str, Any]:
        """As in `edgecnn profile --json`."""
        data = asdict(self)
        del data["moments"]
        return data | {
            "prediction_error": self.prediction_error,
            "layers": None if self.layers is None else [layer.to_json() for layer in self.layers],
            "samples": [moment.to_json() for moment in self.moments],
        }


@dataclass(frozen=True)
class Skipped:
    """A runtime that was not measured, and why."""

    runtime: str
    reason: str


@dataclass(frozen=True)
class Profile:
    """A bundle on a board."""

    target: str
    board: str
    cpu: str
    versions: dict[str, str]
    bundle: str
    weights: str
    """`trained`, `pretrained` or `random`."""
    runs: tuple[ProfileRun, ...]
    skipped: tuple[Skipped, ...] = ()
    kept: bool = False
    """Whether `--runtime auto` goes by this profile from now on."""
    ram_analysis: Mapping[str, Any] | None = None
    """The bundle's, as JSON: what was measured, for `edgecnn choose` to learn the board from."""

    @property
    def ranked(self) -> list[ProfileRun]:
        """The valid runs, or all if none is valid, by their p90."""
        candidates = [run for run in self.runs if run.valid] or self.runs
        return sorted(candidates, key=lambda run: run.latency_ms.p90)

    @property
    def best(self) -> ProfileRun:
        """The lowest p90 among the valid runs, or among all if none is valid."""
        return self.ranked[0]

    def to_json(self) -> dict[str, Any]:
        """As `edgecnn profile --json` prints it."""
        return {
            "target": self.target,
            "board": self.board,
            "cpu": self.cpu,
            "versions": self.versions,
            "bundle": self.bundle,
            "weights": self.weights,
            "runs": [run.to_json() for run in self.runs],
            "skipped": [asdict(skipped) for skipped in self.skipped],
            "best": self._ranked_as_json()[0],
            "ranking": self._ranked_as_json(),
            "kept": self.kept,
            "ram_analysis": self.ram_analysis,
        }

    def _ranked_as_json(self) -> list[dict[str, Any]]:
        return [
            {"runtime": run.runtime, "threads": run.threads, "p90_ms": run.latency_ms.p90}
            for run in self.ranked
        ]
