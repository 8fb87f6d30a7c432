"""What is done on a board by its own Python, 3.11 or newer, before edgecnn is there.

This file's text is the program of `python3 -c TEXT OPERATION JSON`. It imports nothing but the
standard library, prints one line of JSON last, and holds a lock while it changes folders. What a
board could not do is `{"error": ...}` and exit code 1.
"""

import ctypes
import errno
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

Answer = dict[str, Any]
Wanted = dict[str, Any]
"""A file: `path`, `bytes` and `sha256`."""

ROOT = Path.home() / ".local/share/edgecnn"
STAGING, BUNDLES, VENVS, RELEASES, CLAIMS = (
    ROOT / name for name in ("staging", "bundles", "venvs", "releases", "claims")
)
HISTORY = ROOT / "history.jsonl"
UNREADABLE = "unreadable"
CLAIMED_S = 3600
"""For so long after its last sign of life, what a deployment brings is not cleared away."""
BITS = 64 if sys.maxsize > 2**32 else 32
"""Of the board's programs; its kernel may have 64 where they have 32."""
COMPLETE = ".complete"
"""In a venv: everything was installed."""
WINDOW_LIBRARIES = ("libGL.so.1", "libgthread-2.0.so.0")
"""Of those that an OpenCV with windows needs, the ones a system without a desktop may lack."""
OWN_OPENCV = "import cv2, numpy; print(numpy.__version__); print(cv2.getBuildInformation())"
NUMPY = (1, 26)
"""The oldest that edgecnn takes."""


def look() -> Answer:
    """What this board is and has."""
    ROOT.mkdir(parents=True, exist_ok=True)
    return {
        "root": str(ROOT),
        "bits": BITS,
        "free_bytes": shutil.disk_usage(ROOT).free,
        "available_bytes": _available(),
        "makes_venvs": bool(importlib.util.find_spec("ensurepip")),
        "windows": all(map(_loads, WINDOW_LIBRARIES)),
        "gstreamer": _has_gstreamer(),
        "venvs": [path.parent.name for path in VENVS.glob(f"*/{COMPLETE}")],
        "venv": (ROOT / "current/venv").resolve().name if _release("current") else None,
        "current": _release("current"),
        "previous": _release("previous"),
    }


def claim(bundle: str, venv: str) -> Answer:
    """Say what is being brought: no other deployment clears it away meanwhile."""
    with locked():
        CLAIMS.mkdir(exist_ok=True)
        for path in (BUNDLES / bundle, VENVS / venv):
            _claim(path).touch()
    return {}


def missing(folder: str, files: list[Wanted]) -> Answer:
    """By hash, how many bytes have arrived of each file that is not in its place and whole."""
    wanted = [file for file in files if not _is_whole(ROOT / folder / file["path"], file)]
    return {file["sha256"]: _size(STAGING / file["sha256"]) for file in wanted}


def receive(sha256: str, offset: int) -> Answer:
    """Standard input, into a file's staging from that byte on.

    Written at a position rather than appended: bytes that an earlier, cut-off connection still
    delivers are the same bytes at the same place.
    """
    STAGING.mkdir(parents=True, exist_ok=True)
    handle = os.open(STAGING / sha256, os.O_WRONLY | os.O_CREAT, 0o644)
    with open(handle, "wb", buffering=0) as stream:
        stream.seek(offset)
        while data := os.read(sys.stdin.fileno(), 1 << 16):
            view = memoryview(data)
            while view:
                view = view[stream.write(view) :]
        os.fsync(stream.fileno())
    return {}


def place(folder: str, files: list[Wanted]) -> Answer:
    """Move what arrived into the folder; the paths whose bytes are not what was sent."""
    damaged = []
    with locked():
        for file in files:
            path, arrived = ROOT / folder / file["path"], STAGING / file["sha256"]
            if _is_whole(path, file):
                continue
            if not _is_whole(arrived, file):
                arrived.unlink(missing_ok=True)
                damaged.append(file["path"])
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            # A link, for two files with the same bytes; renamed, so that no reader sees a gap.
            link = path.with_name(f".{path.name}.new")
            link.unlink(missing_ok=True)
            os.link(arrived, link)
            os.replace(link, path)
        if not damaged:
            for file in files:
                (STAGING / file["sha256"]).unlink(missing_ok=True)
    return {"damaged": damaged}


def install(
    venv: str,
    wheels: str,
    wheel: str,
    extras: list[str],
    offline: bool,
    system_site_packages: bool,
) -> Answer:
    """Make the venv, with our wheel from the folder `wheels` in it, unless it is there."""
    folder, carried = VENVS / venv, ROOT / wheels
    with locked():
        if (folder / COMPLETE).exists():
            return {}
        _remove(folder)
        flags = ["--system-site-packages"] if system_site_packages else []
        what = f"{carried / wheel}[{','.join(extras)}]" if extras else str(carried / wheel)
        pip = [str(folder / "bin/python"), "-m", "pip", "--disable-pip-version-check", "install"]
        if BITS == 32 and platform.machine() == "aarch64":
            # Or pip would want what only 64-bit programs can use.
            pip.insert(0, "linux32")
        source = ["--no-index", "--find-links", str(carried)] if offline else []
        # Python compiles what is used when it is used; all of it takes a small board minutes.
        pip.append("--no-compile")
        try:
            _call([sys.executable, "-m", "venv", *flags, str(folder)])
            _call([*pip, "--no-input", "--quiet", *source, what])
            (folder / COMPLETE).touch()
        except BaseException:
            _remove(folder)
            raise
        _remove(carried)
    return {}


def switch(bundle: str, venv: str, downgrade: bool = False, said: Answer | None = None) -> Answer:
    """Make this bundle with this installation the current release, in one step.

    One that was made before the current one is refused, unless a `downgrade` is asked for.
    """
    with locked():
        for path, whole in ((BUNDLES / bundle, "manifest.json"), (VENVS / venv, COMPLETE)):
            if not (path / whole).is_file():
                raise Refused(f"{path} is not there: another deployment cleared it away. Try again")
            _claim(path).unlink(missing_ok=True)
        name, old = f"{bundle}@{venv}", _release("current")
        if old and not downgrade:
            _refuse_older(BUNDLES / bundle, ROOT / "current/bundle")
        release = RELEASES / name
        if not release.exists():
            new = RELEASES / f".{name}.new"
            _remove(new)
            new.mkdir(parents=True)
            (new / "bundle").symlink_to(f"../../bundles/{bundle}")
            (new / "venv").symlink_to(f"../../venvs/{venv}")
            new.rename(release)
        if old and old != name:
            _point("previous", old)
        _point("current", name)
        if old != name:
            _note("deploy", name, said)
        _prune()
        return {"current": name, "previous": _release("previous")}


def rollback(said: Answer | None = None) -> Answer:
    """Make the previous release the current one, in one step, and the other way round."""
    with locked():
        old, new = _release("current"), _release("previous")
        if not new or new == old:
            raise Refused("there is no previous release to go back to")
        _point("current", new)
        if old:
            _point("previous", old)
        _note("rollback", new, said)
        return {"current": new, "previous": old}


def history() -> Answer:
    """What was switched to, the oldest first."""
    lines = HISTORY.read_bytes().splitlines() if HISTORY.exists() else []
    return {"changes": [_change(line) for line in lines if line.strip()]}


def _change(line: bytes) -> Answer:
    """What a line says; one that was torn off or changed says so itself, in its place."""
    with suppress(ValueError, RecursionError):
        found = json.loads(line)
        if isinstance(found, dict):
            return found
    return {"did": UNREADABLE}


class Refused(Exception):
    """Something that cannot be done here."""


@contextmanager
def locked() -> Iterator[None]:
    """One change at a time; the kernel opens the lock when its holder dies."""
    ROOT.mkdir(parents=True, exist_ok=True)
    with open(ROOT / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _available() -> int | None:
    """Memory that a new process gets without swapping, as the kernel reckons."""
    found = re.search(r"^MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
    return int(found[1]) * 1024 if found else None


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _has_gstreamer() -> bool:
    # In a process of its own: one that was built for another numpy may bring down Python.
    done = subprocess.run([sys.executable, "-c", OWN_OPENCV], capture_output=True, text=True)
    numpy, _, opencv = done.stdout.partition("\n")
    if not re.search(r"GStreamer:\s+YES", opencv):
        return False
    # With an older one the venv would get another numpy, for which this OpenCV was not built.
    return tuple(map(int, numpy.split(".")[:2])) >= NUMPY


def _release(link: str) -> str | None:
    path = ROOT / link
    return os.path.basename(os.readlink(path)) if path.is_symlink() and path.exists() else None


def _refuse_older(bundle: Path, current: Path) -> None:
    """A bundle that was replaced for a reason does not come back by mistake, or by replay."""
    made, before = map(_made_at, (bundle, current))
    if made and before and made < before:
        raise Refused(
            f"{bundle.name} was made on {made:%Y-%m-%d %H:%M} UTC, before the current one "
            f"({before:%Y-%m-%d %H:%M}): --downgrade if you mean it, or --rollback"
        )


def _made_at(bundle: Path) -> datetime | None:
    try:
        manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
        return datetime.fromisoformat(manifest["created_at"]).astimezone(UTC)
    except (KeyError, TypeError, ValueError):
        return None


def _point(link: str, name: str) -> None:
    new = ROOT / f".{link}.new"
    new.unlink(missing_ok=True)
    new.symlink_to(f"releases/{name}")
    os.replace(new, ROOT / link)


def _note(did: str, release: str, said: Answer | None) -> None:
    """A line in the history, with what the bundle says of its training: it may be gone later."""
    data, manifest = b"", {}
    # Going back is allowed to what was damaged meanwhile: whatever runs it will say so.
    with suppress(OSError, ValueError):
        data = (RELEASES / release / "bundle/manifest.json").read_bytes()
        manifest = json.loads(data)
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "did": did,
        "release": release,
        "bundle": hashlib.sha256(data).hexdigest()[:12] if data else None,
        **{key: manifest.get(key) for key in ("architecture", "created_at", "weights", "training")},
        **(said or {}),
    }
    with open(HISTORY, "a+b") as stream:
        torn = stream.seek(0, os.SEEK_END) and _last_byte(stream) != b"\n"
        stream.write(b"\n" * torn + json.dumps(line).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def _last_byte(stream: IO[bytes]) -> bytes:
    stream.seek(-1, os.SEEK_END)
    return stream.read(1)


def _prune() -> None:
    """Remove what the current and the previous release do not need, and nobody is bringing."""
    kept = [RELEASES / name for name in map(_release, ("current", "previous")) if name]
    used = {path.resolve() for one in kept for path in (one / "bundle", one / "venv")}
    for folder, needed in ((RELEASES, set(kept)), (BUNDLES, used), (VENVS, used)):
        for path in folder.iterdir():
            if not (path in needed or path.resolve() in needed or _is_fresh(_claim(path))):
                _remove(path)
    claims = list(CLAIMS.iterdir()) if CLAIMS.is_dir() else []
    if not any(map(_is_fresh, claims)):
        _remove(STAGING)
        _remove(CLAIMS)


def _claim(path: Path) -> Path:
    return CLAIMS / f"{path.parent.name}@{path.name}"


def _is_fresh(claim: Path) -> bool:
    return claim.exists() and time.time() - claim.stat().st_mtime < CLAIMED_S


def _remove(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _is_whole(path: Path, file: Wanted) -> bool:
    if not path.is_file() or path.stat().st_size != file["bytes"]:
        return False
    with open(path, "rb") as stream:
        return bool(hashlib.file_digest(stream, "sha256").hexdigest() == file["sha256"])


def _call(command: list[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        said = (done.stdout + done.stderr).splitlines()
        told = [line for line in said if "rror" in line or "No space" in line] or said[-1:]
        raise Refused(" ".join(told))


if __name__ == "__main__":
    operations: tuple[Callable[..., Answer], ...] = (
        *(look, claim, missing, receive, place, install, switch, rollback, history),
    )
    named = {operation.__name__: operation for operation in operations}
    try:
        answer = named[sys.argv[1]](**json.loads(sys.argv[2]))
    except Refused as refused:
        answer = {"error": str(refused)}
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        what = "its disk is full" if full else f"{error.strerror}: {error.filename}"
        answer = {"error": what}
    print(json.dumps(answer))
    sys.exit(1 if "error" in answer else 0)
