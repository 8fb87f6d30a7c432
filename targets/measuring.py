"""Starting the process that is measured, and reading what it says."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from edgecnn.errors import RuntimeUnavailable

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

    Raises `RuntimeUnavailable` with the worker's own message, or with how it ended.
    """
    argument = json.dumps(
        {
            "bundle": str(bundle),
            "runtime": runtime,
            "threads": threads,
            "runs": runs,
            "seconds": seconds,
            "target": target,
            "per_layer": per_layer,
            "loadgen": str(loadgen) if loadgen else None,
        }
    )
    worker = subprocess.run(
        [sys.executable, "-m", WORKER, argument], capture_output=True, text=True
    )
    if worker.returncode < 0:
        ended = signal.Signals(-worker.returncode).name
        hint = " (out of memory, most likely)" if ended == "SIGKILL" else ""
        raise RuntimeUnavailable(f"{runtime} with {bundle} was ended by {ended}{hint}.")
    # Engines may print to stdout too; the result is the last line.
    lines = worker.stdout.strip().splitlines()
    if worker.returncode or not lines:
        said = worker.stderr.strip().splitlines()[-1:] or ["nothing"]
        raise RuntimeUnavailable(f"{runtime} with {bundle} failed; it said: {said[0]}")
    result: dict[str, Any] = json.loads(lines[-1])
    if "error" in result:
        raise RuntimeUnavailable(result["error"])
    return result
