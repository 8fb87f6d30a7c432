"""Starting the process that is measured, and reading what it says."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgecnn.errors import RuntimeUnavailable
from edgecnn.targets.moments import moments
from edgecnn.targets.observer import Observer
from edgecnn.targets.target import detect

WORKER = "edgecnn.targets.profile_worker"


def measure(
    bundle: Path,
    runtime: str,
    threads: int,
    *,
    runs: int,
    seconds: float,
    target: str,
    per_layer: bool = False,
    loadgen: Path | None = None,
) -> dict[str, Any]:
    """Run `edgecnn.targets.profile_worker` and return its figures.

    `moments` among them are the seconds of the run, with what the machine was like. Raises what
    `answer` raises.
    """
    arguments = {
        "bundle": str(bundle),
        "runtime": runtime,
        "threads": threads,
        "runs": runs,
        "seconds": seconds,
        "target": target,
        "per_layer": per_layer,
        "loadgen": str(loadgen) if loadgen else None,
    }
    worker = start(WORKER, arguments)
    with Observer(detect(name=target), worker.pid) as observer:
        found = answer(worker, f"{runtime} with {bundle}")
    times = moments(found["seconds"], found["samples_ms"], found["started_at"], observer.readings)
    return found | {"moments": times}


def start(module: str, arguments: Mapping[str, Any]) -> subprocess.Popen[str]:
    """Start a module in a process of its own, with its arguments as JSON."""
    return subprocess.Popen(
        [sys.executable, "-m", module, json.dumps(arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answer(worker: subprocess.Popen[str], name: str) -> dict[str, Any]:
    """Wait for a process that was started, and return the JSON it prints.

    Raises `RuntimeUnavailable` with the worker's own message, or with how it ended.
    """
    with worker:
        try:
            printed, complained = worker.communicate()
        except BaseException:  # Ctrl-C: nobody waits for it any more
            worker.kill()
            raise
    if worker.returncode < 0:
        ended = signal.Signals(-worker.returncode).name
        hint = " (out of memory, most likely)" if ended == "SIGKILL" else ""
        raise RuntimeUnavailable(f"{name} was ended by {ended}{hint}.")
    # Engines may print to stdout too; the result is the last line.
    lines = printed.strip().splitlines()
    if worker.returncode or not lines:
        said = complained.strip().splitlines()[-1:] or ["nothing"]
        raise RuntimeUnavailable(f"{name} failed; it said: {said[0]}")
    result: dict[str, Any] = json.loads(lines[-1])
    if "error" in result:
        raise RuntimeUnavailable(result["error"])
    return result
