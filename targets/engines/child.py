"""A measurement in a process of its own: starting it, and reading what it says.

The other end is `edgecnn.targets.engines.worker`.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from edgecnn.errors import RuntimeUnavailable


def start(module: str, arguments: Mapping[str, Any]) -> subprocess.Popen[str]:
    """Start a module in a process of its own, with its arguments as JSON."""
    return subprocess.Popen(
        [sys.executable, "-m", module, json.dumps(arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )


def answer(worker: subprocess.Popen[str], name: str, limit_s: float) -> dict[str, Any]:
    """Wait for a process that was started, and return the JSON it prints.

    Raises `RuntimeUnavailable` with the worker's own message, or with how it ended; one that takes
    longer than `limit_s` is ended.
    """
    with worker:
        try:
            printed, complained = worker.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            worker.kill()
            raise RuntimeUnavailable(
                f"{name} did not come to an end in {limit_s:.0f} s: it hangs, most likely."
            ) from None
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
