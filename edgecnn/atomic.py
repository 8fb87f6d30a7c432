"""Folders and files that appear whole or not at all, whatever ends the program that makes them."""

import ctypes
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgecnn.errors import BundleError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MAKING, REPLACED = ".making-", ".replaced-"
AT_FDCWD, RENAME_EXCHANGE = -100, 2


@contextmanager
def atomic_folder(destination: Path, *, replaces: str) -> Iterator[Path]:
    """A new folder beside `destination` that takes its name when the block ends well.

    On any error or interrupt nothing is left behind, and what stood at `destination` stays. Only
    a folder that holds a `replaces` file, or an empty one, is ever replaced. What a program left
    that was killed meanwhile is cleared up by the next one here. Raises `BundleError`.
    """
    destination = destination.absolute()
    clear_up(destination)
    if destination.exists() and not destination.is_dir():
        raise BundleError(f"{destination} is a file: choose another --out.")
    in_use = destination.is_dir() and any(destination.iterdir())
    if in_use and not (destination / replaces).is_file():
        raise BundleError(
            f"{destination} holds other files and no {replaces}: choose another --out."
        )
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{destination.name}{MAKING}"
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=destination.parent))
    except OSError as error:
        raise BundleError(
            f"Cannot write to {destination.parent}: {error.strerror}. Choose another --out."
        ) from None
    lock = hold(folder)
    try:
        yield folder
        folder.chmod(0o755)
        _put(folder, destination)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise BundleError(
            f"Cannot write to {destination.parent}: {error.strerror}. Make room, or choose another "
            "--out."
        ) from error
    finally:
        # By now this is what was replaced, or what was never finished, or nothing.
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _put(folder: Path, destination: Path) -> None:
    """Give the folder its name; what stood there goes under the folder's."""
    if not destination.exists():
        try:
            folder.rename(destination)
            return
        except OSError:
            if not destination.exists():
                raise  # else another program was faster, and is replaced
    if _exchange(folder, destination):
        return
    old = folder.with_name(folder.name.replace(MAKING, REPLACED))
    lock = hold(destination)
    try:
        # The moment between the two is the only one without a bundle.
        destination.rename(old)
        folder.rename(destination)
    finally:
        if not destination.exists():
            old.rename(destination)
        if lock is not None:
            os.close(lock)
    shutil.rmtree(old)


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change names in one step; False where this system cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # another C library, or none to look into
        return False
    paths = os.fsencode(one), os.fsencode(other)
    return bool(renameat2(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE) == 0)


def hold(folder: Path) -> int | None:
    """Hold a folder or file until the descriptor is closed or the process ends.

    None where somebody else does, and on Windows, where nobody can.
    """
    try:
        import fcntl
    except ImportError:  # Windows: what is left there stays
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def clear_up(destination: Path) -> None:
    """Remove what killed programs left beside it, and give back what one had moved away."""
    destination = destination.absolute()
    name = re.compile(rf"\.{re.escape(destination.name)}({MAKING}|{REPLACED})\w{{8}}")
    if not destination.parent.is_dir():
        return
    for path in sorted(destination.parent.iterdir()):
        found = name.fullmatch(path.name)
        if found is None or path.is_symlink() or not path.is_dir():
            continue
        lock = hold(path)
        if lock is None:
            continue
        if found[1] == REPLACED and not destination.exists():
            path.rename(destination)
        else:
            shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def write_file(path: Path, parts: Iterable[bytes]) -> None:
    """Put a file in the place of the one that is there, if any; on the disk when this returns.

    Raises `OSError`; then the old one is as it was, and nothing of the new one is left.
    """
    part = part_of(path)
    try:
        with part.open("wb") as stream:
            stream.writelines(parts)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
        sync(path.parent)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def part_of(path: Path) -> Path:
    """Where `write_file` writes first, and what it leaves if it is killed."""
    return path.with_name(f".{path.name}.part")


def whole_of(part: str) -> str | None:
    """The name of the file for which `part_of` gives this name; None where it gives it for none."""
    whole = part.removeprefix(".").removesuffix(".part")
    return whole if part_of(Path(whole)).name == part else None


def sync(folder: Path) -> None:
    """Bring names that came or went onto the disk: a file's own bytes are not enough."""
    with suppress(PermissionError):  # Windows opens no folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
