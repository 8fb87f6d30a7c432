"""A folder that appears whole or not at all, also for programs that are killed."""

import errno
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edgecnn import atomic
from edgecnn.atomic import atomic_folder
from edgecnn.errors import BundleError

KILLED = """
import os, signal, sys
from pathlib import Path
from edgecnn.atomic import atomic_folder
from edgecnn.errors import BundleError
with atomic_folder(Path(sys.argv[1]), replaces="whole") as folder:
    (folder / "whole").write_text("new")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def put(destination: Path, text: str) -> None:
    with atomic_folder(destination, replaces="whole") as folder:
        (folder / "whole").write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_program_left_is_cleared_up_by_the_next(tmp_path: Path) -> None:
    put(tmp_path / "b", "old")
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "b")], check=False)
    assert len(names(tmp_path)) == 2
    assert (tmp_path / "b" / "whole").read_text() == "old"
    put(tmp_path / "b", "newer")
    assert names(tmp_path) == ["b"]
    assert (tmp_path / "b" / "whole").read_text() == "newer"


def test_what_another_program_is_making_is_left_alone(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "b", replaces="whole") as slow:
        (slow / "whole").write_text("slow")
        put(tmp_path / "b", "fast")
        assert slow.is_dir()
    assert names(tmp_path) == ["b"]
    assert (tmp_path / "b" / "whole").read_text() == "slow"


def test_other_folders_beside_it_are_nobodys_business(tmp_path: Path) -> None:
    for name in (".b-backup", ".b.making-", ".bb.making-abcdefgh", ".b.making-abcdefgh.txt"):
        (tmp_path / name).mkdir()
    put(tmp_path / "b", "new")
    assert len(names(tmp_path)) == 5


def test_a_bundle_moved_away_by_a_killed_program_comes_back(tmp_path: Path) -> None:
    """As on a system that cannot exchange two folders, between its two renames."""
    put(tmp_path / "b", "old")
    (tmp_path / "b").rename(tmp_path / ".b.replaced-abcdefgh")
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "b", replaces="whole"):
        raise KeyboardInterrupt
    assert names(tmp_path) == ["b"]
    assert (tmp_path / "b" / "whole").read_text() == "old"


@pytest.mark.parametrize("at", [0, 1])
def test_an_interrupt_between_two_renames_gives_the_old_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    put(tmp_path / "b", "old")
    monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    rename, count = Path.rename, iter(range(9))

    def interrupted(self: Path, target: Path) -> Path:
        if next(count) == at:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        put(tmp_path / "b", "new")
    assert names(tmp_path) == ["b"]
    assert (tmp_path / "b" / "whole").read_text() == "old"
    put(tmp_path / "b", "new")
    assert (tmp_path / "b" / "whole").read_text() == "new"


def test_there_is_a_whole_folder_at_every_moment(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    if not atomic._exchange(one, other):
        pytest.skip("this file system does not exchange folders")
    put(tmp_path / "b", "0")
    over, missed = threading.Event(), []

    def look() -> None:
        while not over.is_set():
            if not (tmp_path / "b" / "whole").exists():
                missed.append(1)

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(200):
        put(tmp_path / "b", str(number))
    over.set()
    reader.join()
    assert not missed


def test_a_full_disk_is_one_clear_line_and_leaves_the_old(tmp_path: Path) -> None:
    put(tmp_path / "b", "old")

    def fill() -> None:
        with atomic_folder(tmp_path / "b", replaces="whole") as folder:
            (folder / "whole").write_text("new")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(BundleError, match=r"No space left on device\. Make room"):
        fill()
    assert names(tmp_path) == ["b"]
    assert (tmp_path / "b" / "whole").read_text() == "old"
