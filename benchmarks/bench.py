"""`make bench`: ratios against named peers, in one run, as a page, its data and a picture.

    python -m benchmarks.bench BUNDLE FLOAT ANSWERS PICTURE [--others PYTHON] [--out FOLDER]

BUNDLE is MobileNetV2 in int8, FLOAT the same network with --fp32, ANSWERS a network whose answers
mean something, PICTURE what the first answer is of. PYTHON has ncnn, MNN and
Ultralytics (see `other_engines.py`); without it they are left out, and the page says so. What is
compared takes turns; a ratio is the median of those of single turns, with the range from the 10th
to the 90th percentile of them. Of frames, a turn is the median of `FRAMES`.
"""

import argparse
import contextlib
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import answers_cost, growth, live, start, throughput
from benchmarks.engines import ENGINES
from benchmarks.other_engines import burst
from edgecnn.bundle import Bundle
from edgecnn.targets.board.target import detect

ROOT = Path(__file__).parents[1]
THREADS, FRAMES = 2, 25
PACKAGES = ("ai-edge-litert", "onnxruntime", "openvino", "opencv-python", "numpy")

# Of the two resizes one is the fastest and aliases, the other averages as ours does.
GOALS = {
    ("640x480", live.BARE): "≤ 1.08",
    ("1920x1080", "that and a bilinear resize"): "≤ 1.05",
    ("1920x1080", "that and a resize by area"): "≤ 1.05",
}


@dataclass(frozen=True)
class Row:
    """One ratio."""

    what: str
    peer: str
    ratio: float
    low: float
    high: float
    turns: int
    goal: str = ""

    @classmethod
    def of(
        cls, what: str, peer: str, ours: Sequence[float], theirs: Sequence[float], goal: str = ""
    ) -> "Row":
        """Of paired turns."""
        each = np.asarray(ours) / np.asarray(theirs)
        low, middle, high = (round(float(x), 3) for x in np.quantile(each, (0.1, 0.5, 0.9)))
        return cls(what, peer, middle, low, high, len(each), goal)


def turns(frames: Sequence[float] | NDArray[np.float64]) -> list[float]:
    """The median of every `FRAMES`."""
    found: list[float] = np.median(np.reshape(frames, (-1, FRAMES)), axis=1).tolist()
    return found


def loop(bundle: Path) -> Iterator[Row]:
    """Frame to label."""
    for size, frames in (("640x480", 300), ("1920x1080", 150)):
        times = live.speeds(bundle, "litert", THREADS, frames, f"synthetic:{size}@30")
        ours = turns(times.pop(live.OURS))
        for peer, theirs in times.items():
            goal = GOALS.get((size, peer), "")
            yield Row.of(f"frame to label, {size}", peer, ours, turns(theirs), goal)


def first_answer(bundle: Path, picture: Path) -> Iterator[Row]:
    """From nothing to the first answer."""
    found = start.first_answers(bundle, picture, THREADS, times=9)
    ours, theirs = ([seconds for seconds, *_ in runs] for runs in found.values())
    yield Row.of(
        "first answer, golden check included", "a bare LiteRT script", ours, theirs, "≤ 1.4"
    )


def answers(bundle: Path) -> Iterator[Row]:
    """What it costs to say what answers are worth."""
    _, times = answers_cost.measured([bundle], "onnxruntime", frames=600)
    before, all_of_it = (turns(times[:, way, 0]) for way in (0, 1))
    yield Row.of(
        "frame to label, calibrated and with an alarm", "without", all_of_it, before, "< 1.01"
    )


def many_pictures(bundle: Path) -> Iterator[Row]:
    """Pictures a second."""
    ours, app = throughput.rates(bundle, rounds=5, seconds=2).values()
    yield Row.of(
        "pictures a second, OpenVINO", "benchmark_app -hint throughput", ours, app, "≥ 0.95"
    )


def float_network(bundle: Path, to: Path) -> None:
    """A float bundle's ONNX from normalised planes on: engines other than ours take no uint8."""
    import onnx

    network = onnx.load(str(Bundle.load(bundle).model_file("onnx")))
    graph = network.graph
    cast, transpose = graph.node[0], graph.node[1]
    if (cast.op_type, transpose.op_type) != ("Cast", "Transpose"):
        raise SystemExit(f"{bundle} does not begin as an fp32 export does.")
    (given,) = graph.input
    _, height, width, channels = (d.dim_value for d in given.type.tensor_type.shape.dim)
    planes = onnx.helper.make_tensor_value_info(
        transpose.output[0], onnx.TensorProto.FLOAT, (1, channels, height, width)
    )
    del graph.node[:2]
    graph.input.remove(given)
    graph.input.append(planes)
    onnx.save(network, str(to))


class Other:
    """A process of `other_engines.py`."""

    def __init__(self, python: str, *arguments: str) -> None:
        script = ROOT / "benchmarks" / "other_engines.py"
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [python, str(script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            self._process.communicate()
            self._said.seek(0)
            said = self._said.read().strip().splitlines()
            self._said.close()
            raise RuntimeError(said[-1] if said else "it ended without a word")

    def burst(self) -> dict[str, float]:
        """Milliseconds of one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print("go", file=self._process.stdin, flush=True)
        found: dict[str, float] = json.loads(self._process.stdout.readline())
        return found

    def close(self) -> None:
        """Let it end."""
        self._process.communicate()
        self._said.close()


def engines(
    bundle: Path, float_bundle: Path, others: str | None, notes: list[str], rounds: int = 8
) -> Iterator[Row]:
    """One picture through the bundle's int8 files, and through other engines in float."""
    import cv2

    loaded = Bundle.load(bundle)
    picture = np.random.default_rng(0).integers(0, 256, loaded.preprocessing.shape, np.uint8)
    calls: dict[str, Callable[[], dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as held:
        model = Path(folder) / "float.onnx"
        float_network(float_bundle, model)
        for name, format in (("litert", "tflite"), ("onnxruntime", "onnx"), ("openvino",) * 2):
            engine = ENGINES[name](loaded.model_file(format), THREADS)
            engine.show(picture)
            calls[name] = lambda n=f"{name}, int8", e=engine: {n: burst(e.invoke)}  # type: ignore[misc]
        cv2.setNumThreads(THREADS)
        net = cv2.dnn.readNetFromONNX(str(model))
        planes: NDArray[Any] = picture.transpose(0, 3, 1, 2).astype(np.float32)

        def opencv() -> None:
            net.setInput(planes)
            net.forward()

        calls["dnn"] = lambda: {"OpenCV's dnn, float32": burst(opencv)}
        for arguments in (("ncnn", str(model), "2"), ("MNN", str(model), "2"), ("ultralytics",)):
            try:
                if others is None:
                    raise RuntimeError("no --others PYTHON was given")
                other = Other(others, *arguments)
            except (RuntimeError, OSError) as error:
                notes.append(f"{arguments[0]} is left out: {error}")
                continue
            held.callback(other.close)
            calls[arguments[0]] = other.burst
        times: dict[str, list[float]] = {}
        order = list(calls)
        for _ in range(rounds):
            order = [*order[1:], order[0]]
            for name in order:
                for what, ms in calls[name]().items():
                    times.setdefault(what, []).append(ms)
    inside = times.pop("Ultralytics' network alone", None)
    outside = times.pop("Ultralytics, frame to label", None)
    ours = times.pop("litert, int8")
    for name, theirs in sorted(times.items()):
        yield Row.of(f"one picture, {THREADS} threads: LiteRT on our int8 file", name, ours, theirs)
    if inside and outside:
        yield Row.of("frame to label, Ultralytics' predict", "its network alone", outside, inside)


def growths(found: list[growth.Growth]) -> Iterator[Row]:
    """Exponents in place of ratios."""
    for one in found:
        ends = min(one.exponents), statistics.median(one.exponents), max(one.exponents)
        low, middle, high = (round(end, 2) for end in ends)
        what = f"{one.command}: exponent of {one.grows}"
        yield Row(what, "linear growth is 1", middle, low, high, len(one.exponents), "≤ 1")


def met(row: Row) -> str:
    """Whether the goal is, where there is one: by the whole range, else it is open."""
    if not row.goal:
        return ""
    sign, _, amount = row.goal.partition(" ")
    ends = [
        end >= float(amount) if sign == "≥" else end <= float(amount) for end in (row.low, row.high)
    ]
    verdict = "met" if all(ends) else "open" if any(ends) else "not met"
    return f"{row.goal}: {verdict}"


def page(rows: list[Row], about: dict[str, Any], notes: list[str], name: str) -> str:
    """The Markdown."""
    told = (
        f"{about['cpu']}, {about['cores']} cores; {', '.join(about['versions'])}. What is compared "
        f"took turns in one run, which lasted {about['seconds'] / 60:.0f} minutes; in the five "
        f"minutes before it {about['load'][1]:g} other programs wanted the processor at a time. "
        "Ratios are medians of those of single turns, in brackets from the 10th to the 90th "
        "percentile. OpenCV's dnn, ncnn and MNN have the same network in float32, Ultralytics its "
        "own. A goal is met, or not, where the whole range says so, else open. "
        f"The data: [{name}.json]({name}.json)."
    )
    lines = [f"# Benchmarks of {about['date']}", "", f"`{about['command']}`", "", told]
    lines += ["", "| what | beside | ratio | turns | goal |", "|---|---|---|---|---|"]
    lines += [
        f"| {r.what} | {r.peer} | {r.ratio:g} [{r.low:g}, {r.high:g}] | {r.turns} | {met(r)} |"
        for r in rows
    ]
    lines += ["", *(f"- {note}" for note in notes)]
    lines += ["", f"![Seconds while parameters, layers and pictures grow tenfold]({name}.svg)", ""]
    lines += ["Dotted is linear growth; times include what every call takes."]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("bundle", "float_bundle", "answers", "picture"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--others", help="the Python of an environment with other engines")
    parser.add_argument("--rounds", type=int, default=2, help="of the growth")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks")
    asked = parser.parse_args()
    begun, before, notes = time.perf_counter(), os.getloadavg(), list[str]()
    rows: list[Row] = []
    for part in (
        loop(asked.bundle),
        first_answer(asked.answers, asked.picture),
        answers(asked.answers),
        many_pictures(asked.bundle),
        engines(asked.bundle, asked.float_bundle, asked.others, notes),
    ):
        for row in part:
            rows.append(row)
            print(f"{row.what} / {row.peer}: {row.ratio:g} [{row.low:g}, {row.high:g}]", flush=True)
    grown = growth.growths(asked.rounds)
    rows += growths(grown)
    given = " ".join(
        p.name for p in (asked.bundle, asked.float_bundle, asked.answers, asked.picture)
    )
    board, today = detect(), time.strftime("%Y-%m-%d")
    about = {
        "date": today,
        "command": f"python -m benchmarks.bench {given}"
        + (" --others PYTHON" if asked.others else ""),
        "cpu": board.cpu,
        "cores": board.threads,
        "load": [round(load, 1) for load in before],
        "python": platform.python_version(),
        "versions": [f"{package} {metadata.version(package)}" for package in PACKAGES],
        "seconds": round(time.perf_counter() - begun),
    }
    asked.out.mkdir(parents=True, exist_ok=True)
    growth.plot(grown, asked.out / f"{today}.svg")
    data = about | {"rows": [asdict(row) for row in rows], "notes": notes}
    data["growth"] = [asdict(one) for one in grown]
    (asked.out / f"{today}.json").write_text(json.dumps(data, indent=1) + "\n")
    (asked.out / f"{today}.md").write_text(page(rows, about, notes, today))
    print(f"{asked.out / today}.md, after {about['seconds']} s: {shlex.join(sys.argv)}")


if __name__ == "__main__":
    main()
