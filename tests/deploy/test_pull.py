"""Kept frames brought from boards: a real sshd, real files, no edgecnn on the board."""

import json
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from edgecnn import inbox
from edgecnn.collection import Collection
from tests.inbox.test_collection import RANDOM, SAID, check_whole, picture

PLACE = ".local/share/edgecnn/collected"


def keeps(board: Any, numbers: range, *, size: int = 6000, place: str = PLACE) -> None:
    """Frames as `run --collect` leaves them."""
    with Collection(board.home / place) as collection:
        for number in numbers:
            collection.add(picture(number, size), ".jpg", **(RANDOM if number % 3 else SAID))


@pytest.fixture
def two_boards(user: Any, make_board: Callable[[], Any]) -> tuple[Any, Any]:
    boards = make_board(), make_board()
    for name, board in zip(("one", "two"), boards, strict=True):
        user.knows(name, board)
    return boards


def test_each_frame_comes_once_from_whichever_board(user: Any, two_boards: Any) -> None:
    one, two = two_boards
    keeps(one, range(20))
    keeps(two, range(15, 30), place="it's kept here")
    done = user.types("pull", "one", "--json")
    assert done.returncode == 0, done.stderr
    (outcome,) = json.loads(done.stdout)["boards"]
    assert (outcome["new_frames"], outcome["known_frames"]) == (20, 0)
    done = user.types("pull", "two", "--collected", "it's kept here")
    assert done.returncode == 0, done.stderr
    assert "edgecnn label inbox" in done.stderr
    folder = user.folder / "inbox"
    found = {kept.file: kept for kept in inbox.read(folder)}
    assert len(check_whole(folder)) == 30
    for board, numbers in ((one, range(20)), (two, range(20, 30))):
        name = "one" if board is one else "two"
        place = board.home / (PLACE if board is one else "it's kept here")
        mine = [kept for kept in inbox.read(place) if found[kept.file].board == name]
        assert len(mine) == len(numbers)
        for kept in mine:
            assert found[kept.file].to_json() == kept.to_json() | {"board": name}
    # Nothing is sent again, and what is new comes.
    keeps(one, range(40, 43))
    done = user.types("pull", "one", "--json")
    (outcome,) = json.loads(done.stdout)["boards"]
    assert (outcome["new_frames"], outcome["known_frames"]) == (3, 20)


def test_what_was_cut_off_goes_on(user: Any, two_boards: Any) -> None:
    one, _ = two_boards
    keeps(one, range(200), size=60_000)
    folder = user.folder / "inbox"
    with user.start("pull", "one") as pulling:
        lines, deadline = folder / inbox.LINES, time.monotonic() + 60
        while not (lines.exists() and lines.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.002)
        pulling.send_signal(signal.SIGKILL)
        pulling.communicate()
    came = inbox.read(folder)
    assert 0 < len(came) < 200
    done = user.types("pull", "one", "--json")
    assert done.returncode == 0, done.stderr
    (outcome,) = json.loads(done.stdout)["boards"]
    assert outcome["new_frames"] + outcome["known_frames"] == 200
    assert outcome["known_frames"] >= len(came)
    assert len(check_whole(folder)) == 200


def test_what_its_shell_says_and_what_somebody_took_away_there(user: Any, two_boards: Any) -> None:
    one, _ = two_boards
    keeps(one, range(12))
    # As a prompt does that gives the terminal a title: without a line's end.
    (one.home / ".bashrc").write_text("echo Welcome; printf '\\033]0;eye\\007'\n")
    for picture_there in list((one.home / PLACE / "frames").iterdir())[:3]:
        picture_there.unlink()
    done = user.types("pull", "one", "--json")
    assert done.returncode == 0, done.stderr
    (outcome,) = json.loads(done.stdout)["boards"]
    assert outcome["new_frames"] == 9
    assert len(check_whole(user.folder / "inbox")) == 9


def test_one_board_that_fails_stops_no_other(user: Any, two_boards: Any) -> None:
    one, two = two_boards
    keeps(one, range(5))
    damaged = next((one.home / PLACE / "frames").iterdir())
    damaged.write_bytes(b"other bytes")
    keeps(two, range(10, 15))
    (two.home / "empty").mkdir()
    done = user.types("pull", "one", "two", "nobody@127.0.0.2", "--json")
    assert done.returncode == 1
    first, second, third = json.loads(done.stdout)["boards"]
    assert not first["ok"]
    assert f"1 pictures did not come whole, the first ~/{PLACE}/frames/" in first["reason"]
    assert second["ok"]
    assert second["new_frames"] == 5
    assert not third["ok"]
    # All that was whole is there.
    assert len(check_whole(user.folder / "inbox")) == 9
    done = user.types("pull", "two", "--collected", "empty")
    assert done.returncode == 1
    assert "two: it has no frames in empty" in done.stderr
    (two.home / PLACE / inbox.LINES).write_text('{"file": "../../x"}\n')
    done = user.types("pull", "two")
    assert done.returncode == 1
    assert "line 1" in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
