"""Kills programs at random moments, and looks at what they leave.

    python -m tests.crash.crash [--count 50] [--seed 0] [--only NAME]

Each of export, training, calibration, deployment and the choice of an engine is killed (SIGKILL)
COUNT times at a moment drawn from the time it takes, and started again. After each: the old state
or the new one, whole; after the last start: nothing else lies about. Then, as root, on disks in
memory that are full at a random point, or read-only; and two exports into one folder at once.
Prints a line of JSON for each; exits with 1 if anything was lost or left.

The work is done in children of one process that has everything imported, so that the moments fall
into the work.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

Work = Callable[[], object]
HANGS_S = 300.0
LATEST = 1.5
"""Times what it takes: now and then it comes to its end."""


def have_imported() -> None:
    """Import, but not begin, what takes long to import: the moments are to fall into the work."""
    import tensorflow  # noqa: F401

    import edgecnn.calibration
    import edgecnn.export.pipeline
    import edgecnn.targets.classifier
    import edgecnn.training.session  # noqa: F401


class Lost(AssertionError):
    """What must not be."""


def child(work: Work) -> int:
    """Start some work in a process of its own, quietly; returns its number."""
    number = os.fork()
    if number:
        return number
    code = 1
    try:
        os.setpgid(0, 0)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        work()
        code = 0
    except BaseException as error:
        with contextlib.suppress(Exception):
            Path(os.environ["CRASH_LOG"]).write_text(f"{type(error).__name__}: {error}")
    finally:
        os._exit(code)


def finish(work: Work) -> float:
    """Do it to its end; returns the seconds."""
    started = time.monotonic()
    if kill(work, HANGS_S) is None:
        raise Lost("it hangs")
    return time.monotonic() - started


def asked(question: Callable[[], str]) -> str:
    """Its answer, found in a process of its own: one that has used TensorFlow cannot be forked."""
    with tempfile.NamedTemporaryFile("r+") as file:
        finish(lambda: Path(file.name).write_text(question()))
        return file.read()


def kill(work: Work, after_s: float) -> float | None:
    """Start it, and kill it and all it started; the seconds it took if it had ended before."""
    number, started = child(work), time.monotonic()
    while (spent := time.monotonic() - started) < after_s:
        ended, status = os.waitpid(number, os.WNOHANG)
        if ended:
            if status:
                raise Lost(f"it failed: {Path(os.environ['CRASH_LOG']).read_text()}")
            return spent
        time.sleep(0.001)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(number, signal.SIGKILL)
    os.waitpid(number, 0)
    return None


def strays(folder: Path, known: set[str]) -> list[str]:
    """What lies in a folder beside what should."""
    return sorted(path.name for path in folder.iterdir() if path.name not in known)


class Case:
    """Something that is killed; see `CASES`."""

    kinds = 1
    """How many kinds of work take turns, that take different times."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def work(self, number: int) -> object:
        """What is done the `number`th time."""
        raise NotImplementedError

    def state(self) -> str:
        """`none`, `old`, `new`, ... ; raises `Lost` for what is neither."""
        raise NotImplementedError

    def left(self) -> list[str]:
        """What lies about."""
        raise NotImplementedError

    def wait(self) -> None:
        """Until what a killed program claimed is no longer kept for it."""


class Export(Case):
    """Two exports of other weights take turns at one place."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        import keras
        from keras import layers

        self.pictures, self.out = folder / "pictures", folder / "bundle"
        write_pictures(self.pictures)

        def make() -> None:
            for name in ("one", "two"):
                taken = keras.Input((16, 16, 3))
                x = layers.Conv2D(4, 3, activation="relu")(taken)
                x = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x))
                keras.Model(taken, x, name=name).save(self.pictures / f"{name}.keras")

        finish(make)

    def work(self, number: int) -> object:
        from edgecnn.export.pipeline import export

        return export(
            self.pictures / f"{('one', 'two')[number % 2]}.keras",
            formats=("onnx",),
            calibration=self.pictures,
            out=self.out,
            labels=("a", "b", "c"),
            preprocessing="0..1",
        )

    def state(self) -> str:
        from edgecnn.targets.classifier import load

        if not self.out.exists():
            return "none"
        classifier = load(self.out, "onnxruntime", 1)
        return classifier.bundle.architecture

    def left(self) -> list[str]:
        return strays(self.folder, {"pictures", "bundle"})


class Training(Case):
    """A run that is killed, and gone on with until it is finished."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        write_pictures(folder / "pictures", classes=3)
        self.run, self.whole = folder / "run", folder / "whole"
        finish(lambda: self._train(self.whole))
        self._names = {str(path.relative_to(self.whole)) for path in self.whole.rglob("*")}

    def _train(self, out: Path) -> object:
        from edgecnn.training.session import train

        return train("lenet5", self.folder / "pictures", out=out, epochs=4, batch_size=16)

    def work(self, number: int) -> object:
        from edgecnn.checkpoint import MANIFEST
        from edgecnn.training.session import resume

        if (self.run / MANIFEST).exists():
            self.run.rename(self.folder / f"finished-{number}")
        if (self.run / "run.json").exists():
            return resume("lenet5", out=self.run)
        return self._train(self.run)

    def state(self) -> str:
        from edgecnn.checkpoint import MANIFEST, Checkpoint

        if not self.run.exists():
            return "none"
        if not (self.run / MANIFEST).exists():
            return "unfinished"
        Checkpoint.load(self.run).load_model()
        return "finished"

    def left(self) -> list[str]:
        names = {str(path.relative_to(self.run)) for path in self.run.rglob("*")}
        known = {"pictures", "run", "whole", *(p.name for p in self.folder.glob("finished-*"))}
        return [*strays(self.folder, known), *sorted(_others(names, self._names))]


def _others(names: set[str], known: set[str]) -> set[str]:
    """Names that a whole run has not; pictures of the calibration set go by their numbers."""
    folders = {str(Path(name).parent) for name in known if Path(name).parent.name}
    return {name for name in names - known if str(Path(name).parent) not in folders}


class Calibration(Case):
    """Two sets of other sizes take turns at one place."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        write_pictures(folder / "pictures", count=40)
        self.out = folder / "set"

    def work(self, number: int) -> object:
        from edgecnn.calibration import calibrate

        count = 30 if number % 2 else 20
        return calibrate(self.folder / "pictures", self.out, count=count)

    def state(self) -> str:
        from edgecnn.calibration.calibration_set import CalibrationSet

        if not self.out.exists():
            return "none"
        found = CalibrationSet.load(self.out)
        return str(len(found.pictures) + len(found.held_out))

    def left(self) -> list[str]:
        return strays(self.folder, {"pictures", "set"})


class Deployment(Case):
    """What the board does of a deployment: two bundles take turns."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.root = folder / ".local/share/edgecnn"
        self._bytes = {name: os.urandom(3 << 20) for name in ("one", "two")}

    def _does(self, operation: str, data: bytes = b"", /, **arguments: Any) -> dict[str, Any]:
        from edgecnn.targets.deploy import on_board

        done = subprocess.run(
            [sys.executable, on_board.__file__, operation, json.dumps(arguments)],
            env=os.environ | {"HOME": str(self.folder)},
            input=data,
            capture_output=True,
        )
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        if "error" in answer:
            raise Lost(f"{operation}: {answer['error']}")
        return answer

    def work(self, number: int) -> object:
        import hashlib

        name = ("one", "two")[number % 2]
        data = self._bytes[name]
        sha256 = hashlib.sha256(data).hexdigest()
        files = [{"path": "manifest.json", "bytes": len(data), "sha256": sha256}]
        self._does("look")
        self._does("claim", bundle=name, venv="v")
        bundle = f"bundles/{name}"
        there = self._does("missing", folder=bundle, files=files)
        if there:
            offset = next(iter(there.values())) if isinstance(there, dict) else 0
            offset = offset if isinstance(offset, int) and offset <= len(data) else 0
            self._does("receive", data[offset:], sha256=sha256, offset=offset)
        self._does("place", folder=bundle, files=files)
        venv = self.root / "venvs/v"
        venv.mkdir(parents=True, exist_ok=True)
        (venv / ".complete").touch()
        return self._does("switch", bundle=name, venv="v")

    def wait(self) -> None:
        from edgecnn.targets.deploy.on_board import CLAIMED_S

        for claim in self.root.glob("claims/*"):
            os.utime(claim, (time.time() - 2 * CLAIMED_S,) * 2)

    def state(self) -> str:
        current = self.root / "current"
        if not current.is_symlink():
            return "none"
        data = (current / "bundle/manifest.json").read_bytes()
        found = [name for name, content in self._bytes.items() if content == data]
        if not found:
            raise Lost("current is neither bundle")
        return found[0]

    def left(self) -> list[str]:
        beside = strays(
            self.root, {"bundles", "venvs", "releases", "current", "previous", "lock", ".lock"}
        )
        bundles = strays(self.root / "bundles", {"one", "two"})
        return [*beside, *bundles, *strays(self.root / "venvs", {"v"})]


class Choice(Case):
    """The first start, which tries engines and keeps what was fastest; and the keeping alone."""

    kinds = 5

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        os.environ["EDGECNN_CACHE"] = str(folder)

    def work(self, number: int) -> object:
        from edgecnn.targets.board.target import detect
        from edgecnn.targets.engines import choice, probe
        from edgecnn.targets.engines.trial import Tried

        bundle, board = probe.bundle("colours"), detect()
        if number % 5:  # the trial takes long, and writes only at its end
            tried = [Tried("litert", 1, float(number)), Tried("onnxruntime", 1, 2.0)]
            for _ in range(200):
                choice.keep(bundle, board, tried, (1,))
            return None
        for file in (self.folder / "choices").glob("*.json"):
            file.unlink()
        return choice.choose(bundle, board, 1)

    def state(self) -> str:
        files = [*self.folder.glob("choices/*.json")]
        for file in files:
            json.loads(file.read_text())
        return "kept" if files else "none"

    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("choices/*") if path.suffix != ".json")


CASES: dict[str, type[Case]] = {
    "export": Export,
    "train": Training,
    "calibrate": Calibration,
    "deploy": Deployment,
    "choice": Choice,
}


def write_pictures(folder: Path, count: int = 24, classes: int = 0) -> None:
    """Blots of colour, in folders of their own for each class if there are any."""
    rng = np.random.default_rng(0)
    for number in range(count):
        place = folder / f"class{number % classes}" if classes else folder
        place.mkdir(parents=True, exist_ok=True)
        blots = rng.integers(0, 256, (6, 6, 3), np.uint8)
        cv2.imwrite(str(place / f"{number:02}.png"), cv2.resize(blots, (32, 32)))


def killed(name: str, count: int, chance: random.Random) -> dict[str, Any]:
    """Kill one case so often; what was seen."""
    with tempfile.TemporaryDirectory(prefix="edgecnn-crash-") as place:
        folder = Path(place) / name
        folder.mkdir()
        case = CASES[name](folder)
        finish(lambda: case.work(0))
        took = {kind: finish(lambda n=kind: case.work(n)) for kind in range(case.kinds)}  # type: ignore[misc]
        states, number, at_work, most = Counter[str](), 0, 0, 0
        before = asked(case.state)
        while at_work < count:
            number += 1
            kind = number % case.kinds
            ended = kill(lambda n=number: case.work(n), chance.uniform(0, LATEST * took[kind]))  # type: ignore[misc]
            at_work += ended is None
            took[kind] = ended or took[kind]  # it is faster once files are in memory
            state = asked(case.state)
            if state == "none" and before not in ("none", "kept", "finished"):
                raise Lost(f"{name} {number}: {before} is gone")
            states[state] += 1
            before = state
            most = max(most, len(case.left()))
        case.wait()
        finish(lambda: case.work(number + 1))
        asked(case.state)
        return {
            "killed": name,
            "times_at_work": at_work,
            "takes_s": [round(seconds, 2) for seconds in took.values()],
            "states": dict(states),
            "left_about_at_most": most,
            "left_after_the_next_start": case.left(),
        }


@contextlib.contextmanager
def disk(folder: Path, options: str) -> Iterator[None]:
    """A file system in memory at that folder; needs root."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", options, "crash", str(folder)]
    subprocess.run(words, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def full_disks(count: int, chance: random.Random) -> dict[str, Any]:
    """Exports onto disks of random sizes, too small ones among them, and a read-only one."""
    from edgecnn.errors import EdgeCnnError

    outcomes = Counter[str]()
    with tempfile.TemporaryDirectory(prefix="edgecnn-crash-") as place:
        folder = Path(place)
        case = Export(folder)
        whole = folder / "whole"
        case.out = whole
        finish(lambda: case.work(0))
        needed = sum(-(-path.stat().st_size // 4096) * 4096 for path in whole.iterdir())
        for number in range(count):
            place_there = folder / "disk"
            with disk(place_there, f"size={chance.randint(4096, 2 * needed)}"):
                case.out = place_there / "bundle"
                outcomes[_outcome(case, number, EdgeCnnError)] += 1
                if strays(place_there, {"bundle"}):
                    raise Lost(f"left on a full disk: {strays(place_there, {'bundle'})}")
        with disk(place_there, "ro"):
            case.out = place_there / "bundle"
            outcomes[f"read-only: {_outcome(case, 0, EdgeCnnError)}"] += 1
    return {"full_disks": count, "needed_bytes": needed, "outcomes": dict(outcomes)}


def _outcome(case: Export, number: int, refusal: type[Exception]) -> str:
    def work() -> object:
        try:
            return case.work(number)
        except refusal:
            os._exit(2)

    _, status = os.waitpid(child(work), 0)
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, 2):
        raise Lost(f"no clear line: {Path(os.environ['CRASH_LOG']).read_text()}")
    state = asked(case.state)
    if (state == "none") != (code == 2):
        raise Lost(f"it ended with {code} and left {state}")
    return "refused" if code else "whole"


def at_once(count: int) -> dict[str, Any]:
    """Two exports into one folder at the same time."""
    states = Counter[str]()
    with tempfile.TemporaryDirectory(prefix="edgecnn-crash-") as place:
        case = Export(Path(place))
        for _ in range(count):
            numbers = [child(lambda n=n: case.work(n)) for n in (0, 1)]  # type: ignore[misc]
            codes = [os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) for number in numbers]
            if codes != [0, 0]:
                raise Lost(f"{codes}: {Path(os.environ['CRASH_LOG']).read_text()}")
            states[asked(case.state)] += 1
        return {"two_at_once": count, "states": dict(states), "left": case.left()}


def main() -> None:
    """Kill, fill, look."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=(*CASES, "disks", "at once"))
    given = parser.parse_args()
    chance, bad = random.Random(given.seed), False
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        name: lambda name=name: killed(name, given.count, chance)  # type: ignore[misc]
        for name in CASES
    }
    if os.getuid() == 0:
        parts["disks"] = lambda: full_disks(given.count // 2, chance)
    parts["at once"] = lambda: at_once(given.count // 5)
    have_imported()
    with tempfile.NamedTemporaryFile() as log:
        os.environ["CRASH_LOG"] = log.name
        for name, part in parts.items():
            if given.only not in (None, name):
                continue
            try:
                found = part()
            except Exception as error:
                found = {"lost": f"{name}: {type(error).__name__}: {error}"}
            bad |= bool("lost" in found or found.get("left_after_the_next_start"))
            bad |= bool(found.get("left"))
            print(json.dumps(found), flush=True)
    sys.exit(bad)


if __name__ == "__main__":
    main()
