"""Every parser of ours, fed with bytes that anybody may have written.

A parser may refuse them with an `EdgeCnnError`; anything else that it raises is a finding.
`fuzz.py` drives them by coverage; `test_fuzz.py` with a few in every run of the tests.
"""

import contextlib
import io
import json
import os
import random
import shutil
import struct
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from edgecnn.bundle import MANIFEST, Bundle
from edgecnn.errors import EdgeCnnError
from edgecnn.targets.engines import probe

SCRATCH = "EDGECNN_FUZZ_FOLDER"
Feed = Callable[[bytes], object]
STRANGE: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**63, 1e308, float("nan"), float("inf"), "", "\0", "a" * 5000, "../x"),
    *([], {}, [[]], {"": None}, "\ud800", -0.5, 255, "é", [1] * 1000, "\x1b[31m"),
)
"""What a value in a JSON file may be instead."""


@dataclass(frozen=True)
class Parser:
    """One parser: how bytes get to it, and some that it takes."""

    feed: Feed
    seeds: tuple[bytes, ...]
    json: bool = False
    """Whether bytes are what is done to the seeds' JSON, rather than the file itself."""
    cost: int = 1
    """How many runs of another one of its runs takes the time of."""
    imports: tuple[str, ...] = field(default=())
    """Modules whose branches guide the search."""


@cache
def scratch() -> Path:
    """A folder in memory, one for each process."""
    given = os.environ.get(SCRATCH)
    return Path(given or tempfile.mkdtemp(prefix="edgecnn-fuzz-", dir=memory()))


def memory() -> str | None:
    """Where files are in memory; None if nowhere."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def written(name: str, data: bytes) -> Path:
    """A file with these bytes."""
    path = scratch() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def text(data: bytes) -> str:
    """Any bytes as text, as a command line's words arrive."""
    return data.decode(errors="surrogateescape")


def changed(document: Any, data: bytes) -> Any:
    """A JSON document with some values exchanged, removed or doubled, as the bytes say."""
    document = json.loads(json.dumps(document))
    places = list(_places(document))
    for start in range(0, min(len(data), 12) - 2, 3):
        where, how, what = data[start : start + 3]
        holder, key = places[(where + 256 * (how >> 5)) % len(places)]
        with contextlib.suppress(KeyError, IndexError, TypeError):
            if how % 4 == 0:
                del holder[key]
            elif how % 4 == 1:
                holder[key] = [holder[key], holder[key]]
            else:
                holder[key] = STRANGE[what % len(STRANGE)]
    return document


def _places(value: Any) -> Iterable[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def as_json(document: Any, data: bytes) -> bytes:
    """Bytes of a changed document; beginning with an odd byte, those bytes themselves."""
    if data[:1] and data[0] % 8 == 7:
        return data[1:]
    return json.dumps(changed(document, data[1:])).encode()


# Bundles


@cache
def colours() -> Path:
    """A whole bundle with golden pictures, whose hashes nobody has to keep right."""
    from edgecnn.golden import Golden, Origin
    from edgecnn.targets.engines import runtimes

    source = probe.bundle("colours")
    folder = scratch() / "colours"
    shutil.copytree(source.path, folder)
    session = runtimes.get("litert").open(source.model_file("tflite"), 1)
    frame = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    origin = Origin(source.labels, source.head.kind, {"tflite": "x"}, {"tflite": "litert 2"})
    Golden.make(
        [frame, frame[::-1]],
        source.preprocessing,
        lambda _, image: session.infer(image),
        ["tflite"],
        origin=origin,
    ).write(folder)
    return folder


def manifest(data: bytes) -> object:
    original = json.loads((probe.bundle("colours").path / MANIFEST).read_text())
    (colours() / MANIFEST).write_bytes(as_json(original, data))
    bundle = Bundle.load(colours())
    return bundle.name, bundle.version


def labels(data: bytes) -> object:
    from edgecnn.labels import checked, read_labels

    return checked(read_labels(written("labels.txt", data)))


def labels_csv(data: bytes) -> object:
    from edgecnn import labels_csv

    written("a.png", b"")
    return labels_csv.read(written("labels.csv", data), empty_labels=len(data) % 2 == 0)


def golden(data: bytes) -> object:
    """An archive of arrays, one of them replaced; or any file."""
    from edgecnn.golden import Golden

    with zipfile.ZipFile(colours() / "golden.npz") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if data[:1] and data[0] % 8 == 7:
        return Golden.load(written("golden.npz", data[1:]))
    name = sorted(members)[(data[0] if data else 0) % len(members)]
    if len(data) > 1 and data[1] % 2:
        members[name] = data[2:]
    elif len(data) > 2:
        place = data[2] % len(members[name])
        members[name] = members[name][:place] + data[3:] + members[name][place + len(data) - 3 :]
    else:
        del members[name]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    found = Golden.load(written("golden.npz", buffer.getvalue()))
    bundle = probe.bundle("colours")
    from edgecnn.preprocessing import FramePreparer

    found.check(
        bundle,
        "tflite",
        "it",
        FramePreparer(bundle.preprocessing),
        lambda image: np.zeros(3, np.float32),
    )
    return found


@cache
def album_told() -> dict[str, Any]:
    """What a manifest says of an album, which lies in the scratch folder."""
    from edgecnn.album import Album, Answer, Case

    grey = [np.full((8, 8, 3), level, np.uint8) for level in (9, 99)]
    worst = Case(grey[0], "a", {"float32": Answer("b", 0.5), "onnx": Answer("a", 0.75)})
    return Album(tuple(grey), (worst,)).write(scratch())


def album(data: bytes) -> object:
    from edgecnn.album import FILE, Album

    told = changed(album_told(), data)
    bundle: Any = SimpleNamespace(manifest={"shown": told}, album=scratch() / FILE)
    return Album.load(bundle)


def preprocessing(data: bytes) -> object:
    from edgecnn.preprocessing import Preprocessing

    known = Preprocessing(16, 16, bgr=True).to_json()
    return Preprocessing.from_json(changed(known, data)).to_json()


def head(data: bytes) -> object:
    from edgecnn.head import Head

    known = Head("sigmoid", (0.5, 0.5)).to_json()
    found = Head.from_json(changed(known, data))
    found.check(2)
    return found


# Reports and what else is kept as JSON


@cache
def reports() -> tuple[dict[str, Any], ...]:
    """A profile, an evaluation and an export, as `--json` writes them."""
    latency = {"p50": 1.0, "p90": 2.0, "p99": 3.0, "min": 1.0, "max": 3.0, "mean": 1.5, "std": 0.1}
    run = {
        "runtime": "litert",
        "engine": "ai-edge-litert 2.3.0",
        "precision": "int8",
        "threads": 1,
        "count": 4,
        "latency_ms": latency,
        "samples_ms": [1.0, 1.1, 2.0, 3.0],
        "process_counts": [2, 2],
        "memory_bytes": {"peak": 1000},
        "predicted_bytes": {"arena": 10},
        "artifact_bytes": 10,
        "invalid_reasons": [],
        "valid": True,
    }
    profile = {"board": "it", "cpu": "it", "bundle": "a-int8", "runs": [run]}
    evaluation = {"data": "d", "count": 5, "artifacts": {"onnx": {"top1": 0.9}}}
    export = {"bundle": "b", "artifacts": {"onnx": {"bytes": 10, "agreement_top1": 0.9}}}
    return profile, evaluation, export


def compared(data: bytes) -> object:
    from edgecnn.comparison import compare
    from edgecnn.comparison.figure import Limits

    report = reports()[(data[0] if data else 0) % 3]
    old = written("old.json", as_json(report, data[1:]))
    new = written("new.json", json.dumps(report).encode())
    pair = (old, new) if len(data) % 2 else (new, old)
    return compare(*pair, Limits(0.05, 0.05, 0.5)).to_json()


def calibration(data: bytes) -> object:
    from edgecnn.calibration.calibration_set import MANIFEST as CALIBRATION
    from edgecnn.calibration.calibration_set import CalibrationSet

    entry = {"file": "a.png", "sha256": EMPTY, "held_out": False, "label": "x"}
    known = {
        "schema": 1,
        "name": "n",
        "origin": "o",
        "pictures": [entry, entry | {"held_out": True, "file": "b.png"}],
    }
    for name in ("a.png", "b.png"):
        written(f"calibration/{name}", b"")
    file = written(f"calibration/{CALIBRATION}", as_json(known, data))
    found = CalibrationSet.load(file.parent)
    return found.sha256


EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def checkpoint(data: bytes) -> object:
    from edgecnn.checkpoint import MANIFEST as CHECKPOINT
    from edgecnn.checkpoint import Checkpoint
    from edgecnn.preprocessing import Preprocessing

    known = {
        "schema": 1,
        "architecture": "lenet5",
        "preprocessing": Preprocessing(16, 16).to_json(),
        "created_at": "2026-01-01",
        "test": {"top1": 0.9},
    }
    written("run/model.keras", b"")
    written("run/labels.txt", b"a\nb\n")
    return Checkpoint.load(written(f"run/{CHECKPOINT}", as_json(known, data)).parent)


def training_run(data: bytes) -> object:
    """What a run was told, and how far it came; nothing is trained."""
    from edgecnn.training.run import RUN, Run
    from edgecnn.training.settings import Settings
    from edgecnn.training.state import STATE, RunState

    row: dict[str, Any] = dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy"), 0.5)
    row |= {"epoch": 1, "phase": "all", "learning_rate": 0.1, "seconds": 2.0}
    told = {
        **{"architecture": "lenet5", "source": "digits", "dataset_sha256": EMPTY},
        "settings": Settings().to_json(),
    }
    reached = {"phase": 0, "history": [row], "last": "a.h5", "best": "a.h5", "best_epoch": 1}
    if len(data) % 2:
        return Run.load(written(f"begun/{RUN}", as_json(told, data)).parent)
    state = RunState.load(written(f"begun/{STATE}", as_json(reached, data)).parent)
    return state.epochs_of_phase("all"), state.epochs_without_gain("all")


def pinned(data: bytes) -> object:
    from edgecnn.weights import pins

    os.environ["EDGECNN_CACHE"] = str(scratch())
    written(pins.PINS, as_json({"a/model.safetensors": EMPTY, "b": EMPTY}, data))
    pins.check("a/model.safetensors", written("weights", b""))
    return None


def baselines(data: bytes) -> object:
    from edgecnn.targets.profiling import baseline

    figures = {"peak_bytes": 1, "operators": 2, "operator_bytes": 3}
    known = [figures | {"provenance": {"engine": "litert", "measured_at": "now"}}]
    os.environ["EDGECNN_CACHE"] = str(scratch())
    written(baseline.FILE, as_json(known, data))
    return [one.provenance | {"measured_at": ""} for one in baseline._read()]


def choice(data: bytes) -> object:
    from edgecnn.targets.engines import choice

    known = {
        "board": "b",
        "tried": [{"runtime": "litert", "threads": 1, "p90_ms": 2.0}],
        "counts": [1],
    }
    os.environ["EDGECNN_CACHE"] = str(scratch())
    written(choice._name({}), as_json(known, data))
    found = choice._read({})
    return min((one.p90_ms for one in found.tried), default=None), sorted(found.counts)


def board_answer(data: bytes) -> object:
    """What a board prints when it is deployed to."""
    from edgecnn.targets.deploy import remote

    known = {"release": "r", "bundle": "b", "venv": "v", "current": None, "free_bytes": 1}
    said = as_json(known, data).decode(errors="replace")
    return remote._answer(SimpleNamespace(stdout=said, stderr="it\nbroke", returncode=0))


# Weights and model files


def torch_pickle(data: bytes) -> object:
    from edgecnn.weights.torch_pickle import read_torch_legacy

    return {k: v.shape for k, v in read_torch_legacy(written("weights.pth", data)).items()}


@cache
def torch_seed() -> bytes:
    import pickle

    stream = io.BytesIO()
    parts: tuple[Any, ...] = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {}, [])
    for part in parts:
        pickle.dump(part, stream, protocol=2)
    return stream.getvalue()


def described(data: bytes) -> object:
    """A model file, of which a few bytes are others."""
    from edgecnn.artifacts import describe

    names = ("model.tflite", "model.onnx", "model.xml")
    name = names[(data[0] if data else 0) % 3]
    content = bytearray((probe.bundle("colours").path / name).read_bytes())
    for start in range(1, len(data) - 3, 4):
        place = int.from_bytes(data[start : start + 2], "little") % len(content)
        content[place : place + 2] = data[start + 2 : start + 4]
    if len(data) % 5 == 4:
        content = content[: len(content) * data[-1] // 256]
    if len(data) % 7 == 6:
        content = bytearray(data[1:])
    return describe(written(f"described/{name}", bytes(content))).steps


def keras_file(data: bytes) -> object:
    from edgecnn.export.keras_file import read_model

    suffix = ".keras" if data[:1] < b"\x80" else ".h5"
    content = data[1:]
    if suffix == ".keras" and len(data) % 3:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("metadata.json", "{}")
            archive.writestr("config.json", as_json(KERAS, data[1:]))
            archive.writestr("model.weights.h5", data[-20:])
        content = buffer.getvalue()
    return read_model(written(f"model{suffix}", content))


KERAS = {
    "module": "keras",
    "class_name": "Sequential",
    "registered_name": None,
    "config": {
        "name": "s",
        "layers": [
            {
                "module": "keras.layers",
                "class_name": "InputLayer",
                "config": {"batch_shape": [None, 4], "dtype": "float32", "name": "i"},
                "registered_name": None,
            }
        ],
    },
    "build_config": {"input_shape": [None, 4]},
}


# Words and addresses


def urls(data: bytes) -> object:
    from edgecnn.targets.live import urls

    word = text(data)
    shown = urls.without_password(word)
    urls.has_secret(word)
    try:
        login = urls.user_and_password(word)
        urls.without_login(word)
    except ValueError as error:
        # As urllib says it; who opens an address catches it.
        login = None
        del error
    password = login[1] if login else ""
    assert not (len(password) > 8 and password in shown), "a password is shown"
    return shown


def broker(data: bytes) -> object:
    from edgecnn.targets.live.broker import Broker

    return Broker.parse(text(data))


def web_address(data: bytes) -> object:
    from edgecnn.targets.live.web.access import Access

    os.environ["EDGECNN_WEB_TOKEN"] = "long enough"
    address, _, header = text(data).partition("\n")
    access = Access.parse(address)
    return access.is_addressed_by(header), access.admits(header), access.url(80)


def http_request(data: bytes) -> object:
    """A request, as its first lines arrive."""
    from aiohttp.test_utils import make_mocked_request

    from edgecnn.targets.live.web.access import Access
    from edgecnn.targets.live.web.guard import refusal

    path, host, cookie, bearer = (*data.decode("latin-1").split("\n"), "", "", "", "")[:4]
    try:
        headers = {"Host": host, "Cookie": f"edgecnn_token={cookie}", "Authorization": bearer}
        request = make_mocked_request("GET", f"/{path}", headers=headers)
        request.query  # noqa: B018 (what aiohttp itself refuses)
    except ValueError:
        return None
    access = Access("0.0.0.0" if len(data) % 2 else "127.0.0.1", 80, "long enough")
    return refusal(access, request)


def kept_frames(data: bytes) -> object:
    """The lines of frames that came from a board."""
    from edgecnn import inbox

    return inbox.read(written(inbox.LINES, data).parent)


def other_tools_labels(data: bytes) -> object:
    """What another tool makes of labels."""
    from edgecnn.labelling.formats import FORMATS

    kind = ("csv", "coco", "label-studio")[len(data) % 3]
    return list(FORMATS[kind].read(written("given", data)))


def source(data: bytes) -> object:
    """A source's name; nothing is opened."""
    from edgecnn.targets.live.sources import _live_device, open_frames
    from edgecnn.targets.live.sources.source import Wish

    word = text(data)
    if word.startswith(("picamera", "/dev/", "-")) or word.isdigit():
        return None
    if _live_device(word, Wish(), 1.0):
        return None
    if word.startswith("synthetic") and "/" not in word:
        return open_frames(word)
    if set(word) & set("*?[~"):
        return None  # what lies on the disk is not to be looked for
    return open_frames(str(scratch() / "absent" / word.replace("/", "_")[:100]))


def words(data: bytes) -> object:
    """Options' values."""
    from edgecnn.arguments import one_of
    from edgecnn.cli.options import parse_size
    from edgecnn.targets.live.decisions import DecisionRule
    from edgecnn.targets.region import Region

    word = text(data)
    for parse in (
        Region.parse,
        lambda value: DecisionRule(value, 0.5, 0.1),
        lambda value: one_of("word", value, ("known", "words")),
    ):
        with contextlib.suppress(EdgeCnnError):
            parse(word)
    import click

    with contextlib.suppress(click.BadParameter):
        parse_size(click.Context(click.Command("x")), click.Option(["--size"]), word)
    return word


def unit(data: bytes) -> object:
    from edgecnn.targets.live.systemd import unit

    arguments = [word for word in text(data).split("\0") if word]
    found = unit(arguments, "a-int8", "me")
    lines = [line for line in found.splitlines() if line.startswith("ExecStart=")]
    assert len(lines) == 1, "a word begins a line of its own"
    return found


# What comes from the network while it runs


def mjpeg(data: bytes) -> object:
    from edgecnn.targets.live.sources.jpegs import JpegStream

    step = 1 + (data[0] if data else 0)
    stream = io.BytesIO(data[1:])
    pictures = JpegStream("it", lambda count: stream.read(min(count, step)))
    found = 0
    while pictures.next() is not None:
        found += 1
        assert found <= len(data), "more pictures than bytes"
    return found


def fleet(data: bytes) -> object:
    """Messages on an MQTT broker where others write too."""
    from rich.console import Console

    from edgecnn.cli.fleet import _table
    from edgecnn.targets.live.fleet import Fleet

    known = {
        "bundle": "b-int8",
        "bundle_version": "0123",
        "weights": "trained",
        "engine": "litert 2",
        "board": "Pi",
        "edgecnn": "0.1",
        "since": 1.7e9,
        "frames": 5,
        "dropped": 1,
        "latency_p99_ms": 1.5,
        "age_p99_ms": 2.5,
        "silent_s": 0.1,
        "stuck": None,
        "alarm": None,
        "temperature_c": 50.0,
    }
    members = Fleet.__new__(Fleet)
    vars(members).update(
        _change=threading.Condition(), _status={}, _health={}, _heard_at=None, _answer=None
    )
    for topic, payload in (("r/1/status", b"online"), ("r/1/health", as_json(known, data))):
        message = SimpleNamespace(topic=topic, payload=payload, retain=True)
        members._message(None, None, message)
    Console(file=io.StringIO(), width=100).print(_table(members))
    return json.dumps([member.to_json() for member in members.members()])


# What a board shows of itself

SYSFS = (
    *("proc/cpuinfo", "proc/meminfo", "proc/device-tree/model", "proc/device-tree/compatible"),
    *("sys/class/thermal/thermal_zone0/temp", "sys/class/thermal/thermal_zone0/type"),
    "sys/class/thermal/cooling_device0/type",
    "sys/class/thermal/cooling_device0/cur_state",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq",
    "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq",
    "sys/devices/system/cpu/cpu0/cpu_capacity",
    "sys/devices/platform/soc/soc:firmware/get_throttled",
    *("etc/nv_tegra_release", "etc/nvpmodel.conf", "var/lib/nvpmodel/status"),
    *("sys/class/hwmon/hwmon0/name", "sys/class/hwmon/hwmon0/in1_input"),
    *("sys/class/hwmon/hwmon0/in1_label", "sys/class/hwmon/hwmon0/curr1_input"),
    "sys/class/powercap/intel-rapl:0/energy_uj",
    "sys/class/powercap/intel-rapl:0/name",
    "sys/class/powercap/intel-rapl:0/max_energy_range_uj",
    *("proc/cmdline", "sys/firmware/devicetree/base/model", "proc/device-tree/serial-number"),
    "proc/device-tree/system/linux,revision",
    "sys/devices/gpu.0/load",
)
BOARDS = ("raspberrypi", "jetson", "x86", "generic")


def board(data: bytes) -> object:
    """Files of the kernel, and what `vcgencmd` and `nvpmodel` print."""
    from edgecnn.targets.board.machine import Machine
    from edgecnn.targets.board.target import TARGETS, target

    said = data.split(b"\xfe")
    root = scratch() / "board"
    for name, content in zip(SYSFS, said * len(SYSFS), strict=False):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    class Talking(Machine):
        def said(self, program: str, *arguments: str) -> str | None:
            return said[-1].decode(errors="replace").strip()

    machine = Talking(root, "aarch64", frozenset(range(4)))
    name = sorted(TARGETS)[len(data) % len(TARGETS)]
    found = target(name)(machine)
    told = (found.board, found.cpu, found.details, found.ram_bytes, found.threads)
    return told, json.dumps(found.telemetry().to_json())


BOARD_SEEDS = (
    b"throttled=0x50005\xfetemp=52.1'C",
    b"frequency(48)=1800457088",
    b"VDD_CORE_V volt(15)=0.89745940V VDD_CORE_A current(7)=1.87674000A",
    b"NV Power Mode: 15W\n2",
    b"# R36 (release), REVISION: 4.0, GCID: 1, BOARD: generic",
    b"processor : 0\nCPU part : 0xd08\nmodel name: x\ncore id : 1\n\xfeMemTotal: 1000 kB",
    b"45000\xfecpu-thermal\xfe0xd03115",
)

JSON_SEEDS = (b"\0", b"\0\1\2\3", b"\0\5\0\0\7\3\2\1\1", b"\7{}", b"\7[1,", b"\7\xff\xfe")

KEPT = (
    b'{"file":"frames/'
    + b"a1" * 12
    + b'.jpg","sha256":"'
    + b"a1" * 32
    + b'","time":"x","bundle":"b",'
    b'"label":"l","probability":0.5,"probabilities":{"l":0.5},"why":"random","inclusion":0.1,'
    b'"moment":"m","region":[0,0,1,1],"board":"pi@eye"}\n'
)
OTHER_TOOLS = (
    b"file,label\na.jpg,cat   \n",
    b'{"images":[{"id":1,"file_name":"a.jpg"}],"annotations":[{"image_id":1,"category_id":2}],'
    b'"categories":[{"id":2,"name":"cat"}]}  ',
    b'[{"data":{"image":"a.jpg"},"annotations":[{"result":[{"type":"choices","value":{"choices":'
    b'["cat"]}}]}]}]   ',
)

PARSERS: dict[str, Parser] = {
    "manifest": Parser(manifest, JSON_SEEDS, cost=12),
    "labels": Parser(labels, (b"a\nb\n", "é\r\nü".encode(), b"\xef\xbb\xbfx")),
    "frames.jsonl": Parser(kept_frames, (KEPT,)),
    "labels of other tools": Parser(other_tools_labels, OTHER_TOOLS),
    "labels.csv": Parser(labels_csv, (b"file,label\na.png,x\n", b'file;label\n"a.png";x|y\n')),
    "golden pictures": Parser(golden, (b"\0\1\x93NUMPY", b"\2\0\5ab", b"\7PK\3\4", b"\3"), cost=10),
    "album": Parser(album, (b"", b"\1\2\3", b"\4\6\5\2\3\1")),
    "preprocessing": Parser(preprocessing, (b"", b"\1\2\3", b"\4\6\5\2\3\1")),
    "head": Parser(head, (b"", b"\1\2\3")),
    "reports": Parser(compared, (b"\0\0", b"\1\0\1\2\3", b"\2\0\7\2\1"), cost=300),
    "calibration set": Parser(calibration, JSON_SEEDS, cost=2),
    "checkpoint": Parser(checkpoint, JSON_SEEDS, cost=2),
    "training run": Parser(training_run, JSON_SEEDS, cost=2),
    "pins of weights": Parser(pinned, JSON_SEEDS, cost=2),
    "kept baselines": Parser(baselines, JSON_SEEDS),
    "kept choice": Parser(choice, JSON_SEEDS),
    "a board's answer": Parser(board_answer, JSON_SEEDS),
    "torch's pickle": Parser(torch_pickle, (torch_seed(), b"\x80\x02}q\0.")),
    "model files": Parser(described, (b"\0", b"\1", b"\2", b"\0\1\0ab", b"\2\1\1<>"), cost=10),
    "Keras files": Parser(keras_file, (b"\0\0\1\2\3\4", b"\x90\x89HDF\r\n\x1a\n"), cost=200),
    "addresses with passwords": Parser(
        urls,
        (b"http://me:secret@camera/x?token=1#f", b"rtsp://a:b/c@h", b"http://[::1]:80/", b"x://@"),
    ),
    "MQTT addresses": Parser(broker, (b"mqtt://h:1/t?qos=2", b"mqtts://[::1]/%2f", b"mqtt://h:x")),
    "web addresses": Parser(web_address, (b"0.0.0.0:80\nlocalhost:80", b"[::]:1\n[::1]", b":80\n")),
    "web requests": Parser(http_request, (b"?token=x\nh:1\nc\nBearer t", b"healthz\n\n\n"), cost=8),
    "sources": Parser(source, (b"synthetic:4x4@30", b"csi://0", b"http://h", b"gst:x", b"env:X")),
    "options": Parser(words, (b"0.1,0,.5,1", b"exponential:0.5", b"majority:15", b"640x480")),
    "systemd's unit": Parser(unit, (b"run\0--source\0a b%$\"'", b"--x=\n\0\\")),
    "MJPEG": Parser(mjpeg, (b"\5--frame\r\n\r\n\xff\xd8\xff\xe0\0\4ab\xff\xda\0\3x\1\xff\xd9",)),
    "the fleet's messages": Parser(fleet, JSON_SEEDS, cost=10),
    "a board's readings": Parser(board, BOARD_SEEDS, cost=8),
}


FOUND: tuple[tuple[str, bytes], ...] = (
    ("manifest", b"M\xf7\xf3\xc3\\'_'\xf0\xbe\xfci^\xe2"),
    ("manifest", b"f\x9b\xd5\x8aq'\x06\x84\xa6K?\x18\t\x86"),
    ("golden pictures", b"\xb1L\x19f\x16+\xd3\xb5L\n)\xd3\xf8\xc8"),
    ("golden pictures", b"`\xb8\x05\xe0\x08\x82"),
    ("golden pictures", b"\x93\x00\x00/\x00\x00\x00\x00\x00NUMPY"),
    ("head", b"\1\2\3"),
    ("head", b"\xff\xff\xff\xff\xff\xff"),
    ("reports", b"\xe7Jn[\xdc\x0e~c\xf6p\xd6"),
    ("calibration set", b"\7\xff\xfe"),
    ("calibration set", b":\xff\x9fx\xe0"),
    ("checkpoint", b"\7\xff\xfe"),
    ("checkpoint", b"\x00\x05\x03[\x019223\xebx\x03\xbb\xbc`]=372036854775807\x01\xd9"),
    ("kept choice", b"\x00\1\2\3"),
    ("kept choice", b"\x00\xff\xff\xff\xff\xff\xff"),
    ("kept choice", b"\x1a)0\xbd\xb2\x0b"),
    ("a board's answer", b"\7-1"),
    ("model files", b"m3u\x17mA\xa6\x98"),
    ("model files", b"1-1\x00"),
    ("model files", b"\xc7\xebrV\x03(("),
    ("model files", b"\x888\xb7\x01+%`"),
    ("model files", b"j,\xde]\x89#\xbb\xa5\xff=\xed"),
    ("MQTT addresses", b"mqtt://|\xfb)Q\xdd]\x93h"),
    ("web addresses", b"0.0.0.0:80\nloca\xff\xff"),
    ("addresses with passwords", b"//_0:2147483648z\x9d\xf6\xc7ON@"),
    ("addresses with passwords", b"\0//:1234567890@"),
    ("addresses with passwords", b" /\n/:1234567890@"),
    ("sources", b"synthetic:99999x9999"),
    ("sources", b"synthetic\0?"),
    ("sources", b"synthetic:" + b"g" * 300),
    ("the fleet's messages", b"2147483648"),
    ("options", b"majority:159223372036854775807"),
    ("the fleet's messages", b"\xbeo\x9fb\xacL\t\xc2\x82\x06\xe7\xe3\xaak"),
    ("the fleet's messages", b"\x03\xeb\x84J}5\xe1\xb4\x1f"),
    ("the fleet's messages", b"\xcc\x08SJ"),
    ("the fleet's messages", b"\x00|\xef\xfdy\x11\1\2\3"),
    ("the fleet's messages", b"\0\0\x009223372036854775807\0\0\0\0\0\0\1\2\3"),
    ("a board's readings", b"45000\xfecpu-thermal\xfe0xd031\0\0:\0\x8015"),
)
"""Inputs that were findings, by the parser that should have refused them."""


def mutated(parser: Parser, chance: random.Random) -> bytes:
    """Bytes like those of a seed, for where nothing guides the search."""
    data = bytearray(chance.choice(parser.seeds))
    for _ in range(chance.randint(0, 6)):
        place = chance.randint(0, len(data))
        kind = chance.randrange(4)
        if kind == 0:
            data[place:place] = chance.randbytes(chance.randint(1, 8))
        elif kind == 1 and data:
            del data[place : place + chance.randint(1, 4)]
        elif kind == 2 and place < len(data):
            data[place] = chance.choice((0, 10, 34, 47, 58, 255, chance.randrange(256)))
        else:
            number = chance.choice((0, 1, -1, 2**31, 2**63 - 1))
            data[place:place] = chance.choice((str(number).encode(), struct.pack("<q", number)))
    return bytes(data)


def feed(name: str, data: bytes) -> None:
    """Give bytes to a parser; raises whatever it must not."""
    with contextlib.suppress(EdgeCnnError):
        PARSERS[name].feed(data)
