"""int8 by edgecnn and by every other tool that is installed: what each loses, takes and costs.

    python -m benchmarks.accuracy efficientnet_lite0 --data PICTURES --out results
    python -m benchmarks.accuracy my.keras --preprocessing=-1..1 --data PICTURES --out results
    python -m benchmarks.accuracy runs/mine --data PICTURES --calibration runs/mine/calibration \
        --ours plain best qat --out results

PICTURES has a `labels.csv` or a folder for each class, or is a data set that `edgecnn train` knows,
whose test pictures are taken. All tools get the same float network and the same calibration
pictures, and are judged on pictures that none of them saw: `--calibration DIR`, else 150 of
PICTURES are drawn for it, the same at each run (others with another `--draw`). edgecnn keeps a
fifth of its calibration pictures to verify with, as it always does. `--ours` adds what else it can
make of them, `--precisions` what has more than 8 bits: float32, fp16, and 16-bit activations with
8-bit weights (16x8) by the tools whose engines compute those. `--alone` leaves the others out.

Each tool works in a process of its own. Peers quantise the network without its softmax, which is
then computed in double precision: an 8-bit softmax, as TFLiteConverter makes it, would cost them
most of their accuracy and is no part of the comparison. Their files are in that a little faster.

- top-1 lost against float, in points, with a 95% interval from a paired bootstrap;
- agreement: on how many pictures the first class is float's;
- KL: the mean divergence of the probabilities from float's, in nats;
- SQNR: of the logits about their mean over the classes, in decibels;
- memory: by how much a process grows that opens the file and answers a picture;
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
from benchmarks.ours import OURS, WAYS, divided
from benchmarks.ours import WIDER as OUR_WIDER
from benchmarks.peers import PEERS, WIDER, Peer, outside
from benchmarks.resident import growth_bytes
from benchmarks.scores import Scores, log_softmax
from benchmarks.tables import written
from edgecnn.bundle import MODEL_FILES
from edgecnn.data import open_source
from edgecnn.pictures import Picture, class_indices, labelled_pictures, list_pictures
from edgecnn.preprocessing import NAMED, Preprocessing
from edgecnn.targets.board.target import detect
from edgecnn.targets.engines import runtimes

ROOT = Path(__file__).parents[1]


def labelled(asked: argparse.Namespace) -> list[Picture]:
    """All that can be judged by."""
    if Path(asked.data).exists():
        return labelled_pictures(Path(asked.data))
    known = open_source(asked.data)
    folder = asked.out / "files" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    names = [known.labels[target] for target in known.test.targets]
    return [known.test.frames.as_picture(i, name, folder) for i, name in enumerate(names)]


def drawn(asked: argparse.Namespace) -> list[Picture]:
    """The labelled pictures in an order of chance, the same at each run."""
    found = labelled(asked)
    return [found[i] for i in np.random.default_rng(asked.draw).permutation(len(found))]


def calibrating(asked: argparse.Namespace) -> list[Picture]:
    """Those to calibrate with."""
    if asked.calibration:
        return [Picture(path) for path in list_pictures(asked.calibration)]
    return drawn(asked)[: asked.count]


def judging(asked: argparse.Namespace) -> list[Picture]:
    """Those to judge by."""
    return labelled(asked) if asked.calibration else drawn(asked)[asked.count :]


def peers(asked: argparse.Namespace) -> dict[str, Peer]:
    """All that edgecnn is measured against, by name."""
    if asked.alone:
        return {}
    elsewhere = dict(entry.split("=", 1) for entry in asked.elsewhere)
    wider = WIDER if asked.precisions else {}
    return PEERS | wider | {tool: outside(tool, python) for tool, python in elsewhere.items()}


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

    found, calibration = network(asked), calibrating(asked)
    if asked.only == "float":
        test = judging(asked)
        outputs = int(found.model.outputs[0].shape[-1])
        names = [str(i) for i in range(outputs - asked.background)]
        labels = ["background", *names] if asked.background else found.labels or names
        images = prepare(test, found.preprocessing)
        np.save(folder / "images.npy", images)
        np.save(folder / "truths.npy", class_indices(test, labels))
        np.save(folder / "logits.npy", with_logits(found).answers(images))
        (folder / "preprocessing.json").write_text(json.dumps(found.preprocessing.to_json()))
        return {"calibration": len(calibration), "test": len(test)}
    if asked.only in WAYS:
        started = time.perf_counter()
        made = WAYS[asked.only](found, divided(calibration), folder)
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "folder": str(made.relative_to(folder))}
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


def entry(tool: str, runtime: str, made: dict[str, Any], files: list[Path]) -> dict[str, Any]:
    """What a tool made for an engine, which opens the first of the files."""
    size = sum(path.stat().st_size for path in files)
    found = {"tool": tool, "runtime": runtime, "seconds": made["seconds"]}
    return found | {"model": files[0], "bytes": size}


def reason(name: str, error: ChildProcessError) -> str:
    """Why a tool made nothing, in a line; on stderr all of it."""
    print(error, file=sys.stderr)
    return f"{name} failed: {str(error).splitlines()[-1]}"


def artifacts(asked: argparse.Namespace, folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """What each tool made, and why others made nothing."""
    found: list[dict[str, Any]] = []
    skipped = []
    ways = [*asked.ours, *(OUR_WIDER if asked.precisions else ())]
    for name in [OURS, *(f"{OURS} {way}" for way in ways)]:
        shutil.rmtree(folder / name, ignore_errors=True)  # else an export of the very same is kept
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            made = in_process(name, folder / name)
        except ChildProcessError as error:
            if name == OURS:
                raise
            skipped.append(reason(name, error))
            continue
        for runtime in ENGINES:
            files = [
                folder / name / made["folder"] / file
                for file in MODEL_FILES[runtimes.get(runtime).format]
            ]
            found.append(entry(name, runtime, made, files))
    for name, peer in peers(asked).items():
        if peer.missing:
            skipped.append(f"{name}: {peer.missing} is not installed")
            continue
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            made = kept_or_made(name, folder / name)
        except ChildProcessError as error:
            skipped.append(reason(name, error))
            continue
        model = folder / name / made["file"]
        files = [path for path in (model, model.with_suffix(".bin")) if path.exists()]
        found.append(entry(name, peer.runtime, made, files))
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
    return np.log(np.maximum(values, least)) if entry["tool"] in WAYS else log_softmax(values)


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
        return image if entry["tool"] in WAYS else preprocessing.normalise(image)

    expected = log_softmax(logits.astype(np.float64))
    entries, skipped = artifacts(asked, folder)
    for entry in entries:
        scores = Scores.of(expected, answers(entry, images, shown), truths)
        entry.update(scores.to_json())
    if asked.rounds:
        picture = images[0][None]
        for entry in entries:
            seen = shown(entry, picture)
            entry["resident_bytes"] = growth_bytes(entry["runtime"], entry["model"], seen)
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
    parser.add_argument("--data", required=True, help="labelled pictures")
    parser.add_argument("--calibration", type=Path, help="folder of other pictures")
    parser.add_argument("--count", type=int, default=150, help="drawn without --calibration")
    ours = [name.removeprefix(f"{OURS} ") for name in WAYS if name != OURS]
    ours = [way for way in ours if way not in OUR_WIDER]
    parser.add_argument("--ours", nargs="+", choices=ours, default=[], help="beside the default")
    parser.add_argument(
        "--precisions", action="store_true", help="also float32, fp16, and 16-bit activations"
    )
    parser.add_argument("--preprocessing", choices=NAMED, help="of a Keras file")
    parser.add_argument("--draw", type=int, default=0, help="which pictures calibrate")
    parser.add_argument("--alone", action="store_true", help="without other tools")
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
