"""MLPerf's single-stream scenario, run by MLCommons' own LoadGen.

One picture after the other, each sent when the last was answered; the figure is the 90th
percentile of the latency (Reddi et al., MLPerf Inference Benchmark, 2020). The logs are those
that MLPerf's checkers read; the networks and pictures are not MLPerf's, so no result is official.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.errors import EdgeCnnError, require
from edgecnn.targets.engines.session import Session

SUMMARY = "mlperf_log_summary.txt"


@dataclass(frozen=True)
class SingleStream:
    """What LoadGen's summary says."""

    p90_ms: float
    valid: bool
    """Whether LoadGen's own rules (queries, duration, early stopping) were met."""
    log: str
    """The folder of its log."""


def check_installed() -> Any:
    """LoadGen's module; raises `MissingExtra` where it is not installed."""
    return require(
        "mlperf_loadgen", what="MLPerf's LoadGen", package="mlcommons-loadgen", extra="mlperf"
    )


def single_stream(
    session: Session,
    image: NDArray[np.uint8],
    folder: Path,
    *,
    queries: int,
    seconds: float,
    expected_ms: float,
) -> SingleStream:
    """Run the scenario on one picture and write LoadGen's log into a folder.

    At least so many queries and seconds; from the expected latency LoadGen reckons how many
    queries it prepares. Raises `EdgeCnnError` where the folder cannot be written.
    """
    loadgen = check_installed()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgeCnnError(f"Cannot write {folder}: {error.strerror}.") from None
    failures: list[EdgeCnnError] = []

    def answer(queries: list[Any]) -> None:
        try:
            if not failures:
                session.infer(image)
        except EdgeCnnError as error:
            failures.append(error)  # C++ calls this: it cannot be raised here
        loadgen.QuerySamplesComplete(
            [loadgen.QuerySampleResponse(query.id, 0, 0) for query in queries]
        )

    settings = loadgen.TestSettings()
    settings.scenario = loadgen.TestScenario.SingleStream
    settings.mode = loadgen.TestMode.PerformanceOnly
    settings.min_query_count = queries
    settings.min_duration_ms = round(seconds * 1e3)
    # Half of it: it prepares enough queries even if this run is faster.
    settings.single_stream_expected_latency_ns = max(1, round(expected_ms * 1e6 / 2))
    logs = loadgen.LogSettings()
    logs.log_output.outdir = str(folder)
    logs.log_output.copy_summary_to_stdout = False
    logs.enable_trace = False

    system = loadgen.ConstructSUT(answer, _nothing)
    pictures = loadgen.ConstructQSL(1, 1, _nothing, _nothing)
    try:
        loadgen.StartTestWithLogSettings(system, pictures, settings, logs, "")
    finally:
        loadgen.DestroyQSL(pictures)
        loadgen.DestroySUT(system)
    if failures:
        raise failures[0]
    return read(folder)


def read(folder: Path) -> SingleStream:
    """The figure in a folder's log; raises `EdgeCnnError` where there is none."""
    path = folder / SUMMARY
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise EdgeCnnError(f"LoadGen wrote no {path}: {error.strerror}.") from None
    latency = re.search(r"^90\.0+(?:th)? percentile latency \(ns\)\s*:\s*(\d+)", text, re.MULTILINE)
    result = re.search(r"^Result is\s*:\s*(\w+)", text, re.MULTILINE)
    if not latency or not result:
        raise EdgeCnnError(f"{path} holds no result of the single-stream scenario.")
    return SingleStream(int(latency[1]) / 1e6, result[1] == "VALID", str(folder))


def _nothing(*_: Any) -> None:
    """There is no queue to flush, and the one picture is always loaded."""
