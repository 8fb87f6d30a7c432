"""A long run among faults: does it stay alive, does it grow, is every frame accounted for?

    python -m benchmarks.soak BUNDLE [--minutes 30] [--out .cache/soak] [--seed 0]

`edgecnn run` (in `benchmarks/soak_run.py`, whose engine fails on some frames and whose clock jumps)
classifies a network camera at ten frames a second with all outputs. The camera closes, stalls,
sends halves, rubbish and other sizes; the MQTT broker is killed, stopped and started; viewers never
read or leave; the disk fills and is emptied (as root, on a file system of its own in memory).
Memory, descriptors, threads and processor time are read every second. Every frame must be
classified, dropped or failed, which the JSON lines tell. Writes `soak.json` and `soak.png`; exits
with 1 where something grew, got lost or died.
"""

import argparse
import contextlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.soak_faults import Broker, Camera, Faults, ballast, disk, free_port, viewers

WARM_UP_S = 120.0
"""Buffers, caches and the allocator's own habits; a third of a short run."""
GROWTH = {"rss_bytes": 0.05, "descriptors": 0.0, "threads": 0.0}
"""Of the median of the first third after the warm-up, that the last third may have more."""
ALLOWED = {"rss_bytes": 2e6, "descriptors": 4, "threads": 3}
"""Beside: connections and their threads that happen to be there."""


class Lines:
    """Follows the JSON lines over their turns, and keeps account of the frames."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stream: Any = None
        self._rest = b""
        self.counts = Counter[str]()
        self.gaps: list[tuple[int, int]] = []
        """Frame numbers between which frames are missing, and how many."""
        self._last = -1

    def read(self) -> None:
        """Take what has been written since."""
        while True:
            if self._stream is None:
                if not self._file.exists():
                    return
                self._stream = self._file.open("rb")
            turned = os.fstat(self._stream.fileno()).st_ino != _inode(self._file)
            # Of a line that did not find room on the disk, only whole ones stay.
            self._rest += self._stream.read()
            *whole, self._rest = self._rest.split(b"\n")
            for line in whole:
                self._take(json.loads(line))
            if not turned:
                return
            self._stream.close()
            self._stream = None

    def _take(self, line: dict[str, Any]) -> None:
        told = 1 + line["dropped"] + line.get("failed", 0)
        self.counts["classified"] += 1
        self.counts["dropped"] += line["dropped"]
        self.counts["failed"] += line.get("failed", 0)
        missing = line["frame"] - self._last - told
        if missing:
            self.gaps.append((line["frame"], missing))
        self._last = line["frame"]


def _inode(file: Path) -> int:
    return file.stat().st_ino if file.exists() else 0


def reading(process: psutil.Process, started: float, lines: Lines) -> dict[str, float]:
    """What the process takes at this moment."""
    with process.oneshot():
        return {
            "second": round(time.monotonic() - started, 1),
            "rss_bytes": process.memory_info().rss,
            "descriptors": process.num_fds(),
            "threads": process.num_threads(),
            "cpu_s": sum(process.cpu_times()[:2]),
            "classified": lines.counts["classified"],
        }


def growth(readings: list[dict[str, float]]) -> dict[str, dict[str, Any]]:
    """The median of the first third after the warm-up beside that of the last."""
    seconds = readings[-1]["second"]
    after = min(WARM_UP_S, seconds / 3)
    warm = [one for one in readings if one["second"] >= after]
    third = max(1, len(warm) // 3)
    found = {}
    for name, share in GROWTH.items():
        first, last = (
            float(np.median([one[name] for one in part])) for part in (warm[:third], warm[-third:])
        )
        flat = last <= first * (1 + share) + ALLOWED[name]
        found[name] = {"first_third": first, "last_third": last, "flat": flat}
    return found


def plot(readings: list[dict[str, float]], out: Path, title: str) -> None:
    """Curves over time."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    minutes = [one["second"] / 60 for one in readings]
    steps = list(itertools.pairwise(readings))

    def rate(name: str) -> list[float]:
        return [(b[name] - a[name]) / max(1e-3, b["second"] - a["second"]) for a, b in steps]

    curves = {
        "memory, MB": [one["rss_bytes"] / 1e6 for one in readings],
        "descriptors": [one["descriptors"] for one in readings],
        "threads": [one["threads"] for one in readings],
        "cores": rate("cpu_s"),
        "frames classified a second": rate("classified"),
    }
    figure, axes = pyplot.subplots(len(curves), sharex=True, figsize=(10, 10))
    for axis, (name, values) in zip(axes, curves.items(), strict=True):
        axis.plot(minutes[-len(values) :], values, linewidth=0.8)
        axis.set_ylabel(name)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[0].set_title(title)
    axes[-1].set_xlabel("minutes")
    figure.tight_layout()
    figure.savefig(out, dpi=110)


def soak(bundle: Path, runtime: str, minutes: float, out: Path, seed: int) -> dict[str, Any]:
    """Run it, and say how it went."""
    out.mkdir(parents=True, exist_ok=True)
    faults, over = Faults(), threading.Event()
    with contextlib.ExitStack() as held:
        small = held.enter_context(disk(out / "disk"))
        folder = out / "disk" / "run"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        camera = held.enter_context(contextlib.closing(Camera(random.Random(seed), faults)))
        broker, port = Broker(out), free_port()
        held.callback(broker.kill)
        outputs = {
            "jsonl": str(folder / "log.jsonl"),
            "record": str(folder / "seen.avi"),
            "snapshots": str(folder / "unsure"),
            "snapshots_below": 1.0,
            "snapshots_limit": 20,
            "output_limit_mb": 4,
            "web": f"127.0.0.1:{port}",
            "mqtt": f"mqtt://127.0.0.1:{broker.port}/soak",
        }
        arguments = {
            "bundle": str(bundle),
            "source": camera.url,
            "runtime": runtime,
            "outputs": outputs,
            "seed": seed,
        }
        log = held.enter_context((out / "log.txt").open("w"))
        command = [sys.executable, str(Path(__file__).with_name("soak_run.py"))]
        process = subprocess.Popen([*command, json.dumps(arguments)], stdout=log, stderr=log)
        held.callback(process.kill)
        lines = Lines(folder / "log.jsonl")
        until = time.monotonic() + 60
        while not lines.counts and process.poll() is None and time.monotonic() < until:
            time.sleep(0.2)
            lines.read()
        troubles: list[tuple[Callable[..., None], tuple[Any, ...]]] = [
            (broker.trouble, ()),
            (viewers, (port,)),
            *([(ballast, (out / "disk",))] if small else []),
        ]
        threads = [
            threading.Thread(
                target=trouble, args=(*given, random.Random(seed + 1 + number), faults, over)
            )
            for number, (trouble, given) in enumerate(troubles)
        ]
        for thread in threads:
            thread.start()
        started, readings, largest = time.monotonic(), [], 0
        watched = psutil.Process(process.pid)
        while process.poll() is None and time.monotonic() - started < 60 * minutes:
            readings.append(reading(watched, started, lines))
            used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            largest = max(largest, used)
            time.sleep(1)
            lines.read()
        over.set()
        for thread in threads:
            thread.join()
        process.send_signal(signal.SIGTERM)
        stopped = time.monotonic()
        try:
            code: int | None = process.wait(15)
        except subprocess.TimeoutExpired:
            code = None
        lines.read()
        ended_s = time.monotonic() - stopped
    said = (out / "log.txt").read_text()
    left_out = sum(int(n) for n in re.findall(r"(\d+) lines were left out", said))
    dropped_lines = re.findall(r"--jsonl .*: (\d+) answers were left out in all", said)
    left_out += sum(map(int, dropped_lines))
    missing = sum(count for _, count in lines.gaps)
    found = growth(readings)
    problems = [f"{name} grew" for name, figures in found.items() if not figures["flat"]]
    if code != 0:
        problems.append(f"ended with {code}")
    # A line that was left out told of one frame, and of those dropped and failed before it.
    if not (left_out <= missing <= 50 * left_out):
        problems.append(f"{missing} frames are missing, {left_out} lines are said to be")
    if "Traceback" in said or "bug" in said:
        problems.append("it said that there is a bug")
    return {
        "minutes": minutes,
        "seed": seed,
        "bundle": bundle.name,
        "faults": dict(sorted(faults.items())),
        "engine_failures_and_clock_jumps": "see soak_run.py",
        "frames": dict(lines.counts),
        "frames_of_lines_left_out": missing,
        "lines_left_out_as_said": left_out,
        "growth": found,
        "disk_bytes_at_most": largest,
        "small_disk": small,
        "exit_code": code,
        "end_took_s": round(ended_s, 2),
        "problems": problems,
        "readings": readings,
    }


def main() -> None:
    """Soak, write, say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--runtime", default="litert", help="litert, onnxruntime or openvino")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--out", type=Path, default=Path(".cache/soak"))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    found = soak(given.bundle, given.runtime, given.minutes, given.out, given.seed)
    (given.out / "soak.json").write_text(json.dumps(found, indent=1) + "\n")
    faults = sum(found["faults"].values())
    title = f"{found['bundle']}, {given.minutes:g} minutes among {faults} faults"
    plot(found["readings"], given.out / "soak.png", title)
    print(json.dumps({k: v for k, v in found.items() if k != "readings"}, indent=1))
    sys.exit(bool(found["problems"]))


if __name__ == "__main__":
    main()
