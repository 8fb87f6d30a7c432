"""int8 by edgecnn and by every other tool that is installed: what each loses, takes and costs.

    python -m benchmarks.accuracy efficientnet_lite0 --data PICTURES --out results
    python -m benchmarks.accuracy my.keras --preprocessing=-1..1 --data PICTURES --out results

PICTURES has a `labels.csv` or a folder for each class. All tools get the same float network and the
same calibration pictures, and are judged on pictures that none of them saw: `--calibration DIR`,
else 150 of PICTURES are drawn for it, the same at each run. edgecnn keeps a fifth of its
calibration pictures to verify with, as it always does.

Each tool works in a process of its own. Peers quantise the network without its softmax, which is
then computed in double precision: an 8-bit softmax, as TFLiteConverter makes it, would cost them
most of their accuracy and is no part of the comparison. Their files are in that a little faster.

- top-1 lost against float, in points, with a 95% interval from a paired bootstrap;
- agreement: on how many pictures the first class is float's;
- KL: the mean divergence of the probabilities from float's, in nats;
- SQNR: of the logits about their mean over the classes, in decibels;
- ms: medians in the same engine, in rounds that take turns; a ratio is the median over the rounds.

`--out` gets a JSON file for each network and `accuracy.md` with the tables of all that are there.
What peers made stays in its `files`, and is not made again by the next run.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.engines import ENGINES
from benchmarks.latency import latencies
from benchmarks.peers import PEERS, Peer, outside
from benchmarks.scores import Scores, log_softmax
from benchmarks.tables import written
from edgecnn.bundle import Bundle
from edgecnn.calibration.calibration_set import CalibrationSet, split
from edgecnn.pictures import Picture, class_indices, labelled_pictures, list_pictures
from edgecnn.preprocessing import NAMED, Preprocessing
from edgecnn.targets.board.target import detect
from edgecnn.targets.engines import runtimes

ROOT = Path(__file__).parents[1]
OURS = "edgecnn"
SEED = 0


def pictures(asked: argparse.Namespace) -> tuple[list[Picture], list[Picture]]:
    """Those to calibrate with, and those to judge by."""
    labelled = labelled_pictures(asked.data)
    if asked.calibration:
        return [Picture(path) for path in list_pictures(asked.calibration)], labelled
    order = np.random.default_rng(SEED).permutation(len(labelled))
    drawn = [labelled[i] for i in order]
    return drawn[: asked.count], drawn[asked.count :]


def peers(asked: argparse.Namespace) -> dict[str, Peer]:
    """All that edgecnn is measured against, by name."""
    elsewhere = dict(entry.split("=", 1) for entry in asked.elsewhere)
    return PEERS | {tool: outside(tool, python) for tool, python in elsewhere.items()}


def network(asked: argparse.Namespace) -> Any:
    """The float network, as `edgecnn export` finds it."""
    from dataclasses import replace

    from edgecnn.export import network as networks

    found = networks.find(asked.network, preprocessing=asked.preprocessing)
    preprocessing: Preprocessing = found.preprocessing
    if asked.crop:
        preprocessing = replace(preprocessing, crop_fraction=asked.crop)
    return replace(found, preprocessing=preprocessing)


def without_softmax(model: Any) -> Any:
    """The same Keras model, ending in its logits."""
    import keras

    last = model.layers[-1]
    if isinstance(last, keras.layers.Softmax):
        return keras.Model(model.inputs, last.input)
    if getattr(last, "activation", None) is keras.activations.softmax:
        last.activation = keras.activations.linear
    return model


def work(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """What one process does: the float network's answers, or a tool's files."""
    from edgecnn.pictures import prepare

    found = network(asked)
    calibration, test = pictures(asked)
    if asked.only == "float":
        outputs = int(found.model.outputs[0].shape[-1])
        names = [str(i) for i in range(outputs - asked.background)]
        labels = ["background", *names] if asked.background else found.labels or names
        images = prepare(test, found.preprocessing)
        np.save(folder / "images.npy", images)
        np.save(folder / "truths.npy", class_indices(test, labels))
        np.save(folder / "logits.npy", with_logits(found).answers(images))
        (folder / "preprocessing.json").write_text(json.dumps(found.preprocessing.to_json()))
        return {"calibration": len(calibration), "test": len(test)}
    if asked.only == OURS:
        import edgecnn

        used, held_out = split([Picture(p.path) for p in calibration])
        chosen = CalibrationSet("benchmark", used, held_out, "the benchmark's pictures")
        started = time.perf_counter()
        edgecnn.export(found, calibration=chosen, out=folder / "bundle")
        return {"seconds": time.perf_counter() - started}
    model = with_logits(found).model
    floats = found.preprocessing.normalise(prepare(calibration, found.preprocessing))
    started = time.perf_counter()
    path = peers(asked)[asked.only].make(model, floats, folder)
    return {"seconds": time.perf_counter() - started, "file": path.name}


def with_logits(found: Any) -> Any:
    """The network, ending in its logits."""
    from dataclasses import replace

    return replace(found, model=without_softmax(found.model))


def in_process(name: str, folder: Path) -> dict[str, Any]:
    """Do `work` under that name in a fresh process; raises `ChildProcessError` with its words."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.accuracy", *sys.argv[1:], "--only", name]
    done = subprocess.run(
        [*command, "--work", str(folder)], capture_output=True, text=True, cwd=ROOT
    )
    if done.returncode:
        raise ChildProcessError(f"{name} failed:\n{done.stderr[-2000:]}")
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def kept_or_made(name: str, folder: Path) -> dict[str, Any]:
    """What a peer made in an earlier run into the same folder, else in a fresh process."""
    record = folder / "made.json"
    if not record.exists():
        made = in_process(name, folder)
        record.write_text(json.dumps(made))
    found: dict[str, Any] = json.loads(record.read_text())
    return found


def artifacts(asked: argparse.Namespace, folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """What each tool made, and why others made nothing."""
    found: list[dict[str, Any]] = []
    shutil.rmtree(folder / OURS, ignore_errors=True)  # else an export of the very same is kept
    made = in_process(OURS, folder / OURS)
    bundle = Bundle.load(folder / OURS / "bundle")
    for runtime in ENGINES:
        format = runtimes.get(runtime).format
        entry = {"tool": OURS, "runtime": runtime, "seconds": made["seconds"]}
        size = bundle.artifacts[format].bytes
        found.append(entry | {"model": bundle.model_file(format), "bytes": size})
    skipped = []
    for name, peer in peers(asked).items():
        if peer.missing:
            skipped.append(f"{name}: {peer.missing} is not installed")
            continue
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            made = kept_or_made(name, folder / name)
        except ChildProcessError as error:
            print(error, file=sys.stderr)
            skipped.append(f"{name} failed: {str(error).splitlines()[-1]}")
            continue
        model = folder / name / made["file"]
        files = [path for path in (model, model.with_suffix(".bin")) if path.exists()]
        size = sum(path.stat().st_size for path in files)
        entry = {"tool": name, "runtime": peer.runtime, "seconds": made["seconds"]}
        found.append(entry | {"model": model, "bytes": size})
    return found, skipped


def answers(entry: dict[str, Any], images: NDArray[np.uint8], shown: Any) -> NDArray[np.float64]:
    """Logarithms of the probabilities that an artifact gives, (count, classes)."""
    engine = ENGINES[entry["runtime"]](entry["model"], os.cpu_count() or 1)
    found = []
    for image in images:
        engine.show(shown(entry, image[None]))
        engine.invoke()
        found.append(engine.answer())
    values = np.array(found, np.float64)
    # Ours are probabilities; the least that float32 has stands for none.
    least = np.finfo(np.float32).tiny
    return np.log(np.maximum(values, least)) if entry["tool"] == OURS else log_softmax(values)


def measured(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All that is found out about one network."""
    said = in_process("float", folder / "float")
    images, truths, logits = (
        np.load(folder / "float" / f"{name}.npy") for name in ("images", "truths", "logits")
    )
    preprocessing = Preprocessing.from_json(
        json.loads((folder / "float" / "preprocessing.json").read_text())
    )

    def shown(entry: dict[str, Any], image: NDArray[np.uint8]) -> NDArray[Any]:
        return image if entry["tool"] == OURS else preprocessing.normalise(image)

    expected = log_softmax(logits.astype(np.float64))
    entries, skipped = artifacts(asked, folder)
    for entry in entries:
        scores = Scores.of(expected, answers(entry, images, shown), truths)
        entry.update(scores.to_json())
    if asked.rounds:
        picture = images[0][None]
        for runtime in ENGINES:
            rivals = [entry for entry in entries if entry["runtime"] == runtime]
            found = latencies(
                runtime, [(entry["model"], shown(entry, picture)) for entry in rivals], asked.rounds
            )
            for entry, times in zip(rivals, found, strict=True):
                entry["latency"] = times
    for entry in entries:
        del entry["model"]
    cpu = detect().cpu
    return {
        "network": Path(asked.network).stem,
        "cpu": cpu,
        **said,
        "float_top1": float((expected.argmax(axis=1) == truths).mean()),
        "artifacts": entries,
        "skipped": skipped,
    }


def main(given: Sequence[str] | None = None) -> None:
    """Measure one network, and write its figures beside those of others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", help="a Keras file, a training run or an architecture")
    parser.add_argument("--data", type=Path, required=True, help="labelled pictures")
    parser.add_argument("--calibration", type=Path, help="folder of other pictures")
    parser.add_argument("--count", type=int, default=150, help="drawn without --calibration")
    parser.add_argument("--preprocessing", choices=NAMED, help="of a Keras file")
    parser.add_argument("--crop", type=float, help="fraction of the largest centred square")
    parser.add_argument(
        "--background", action="store_true", help="class 0 is background: labels count from it"
    )
    parser.add_argument("--rounds", type=int, default=20, help="of the latency; 0 leaves it out")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--with",
        dest="elsewhere",
        action="append",
        default=[],
        metavar="TOOL=PYTHON",
        help="a tool of benchmarks/onnx_peers.py and the Python of its environment",
    )
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args(given)
    if asked.only:
        print(json.dumps(work(asked, asked.work)))
        return
    asked.out.mkdir(parents=True, exist_ok=True)
    name = Path(asked.network).stem
    found = measured(asked, asked.out / "files" / name)
    (asked.out / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    text = written([json.loads(path.read_text()) for path in sorted(asked.out.glob("*.json"))])
    (asked.out / "accuracy.md").write_text(text)
    print(written([found]))


if __name__ == "__main__":
    main()
