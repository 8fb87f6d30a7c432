"""When a candidate is better: the rules, and which pictures may speak."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn import inbox
from edgecnn.cli import history
from edgecnn.errors import DataError
from edgecnn.paired import Paired
from edgecnn.targets.deploy import evidence, on_board
from edgecnn.targets.deploy.evidence import HELD_OUT, STREAM, Evidence, ask
from edgecnn.targets.deploy.judging import Bounds, Room, judge
from edgecnn.targets.engines import probe

COLOURS = {"red": (0, 0, 255), "green": (0, 255, 0), "blue": (255, 0, 0)}


def paired(gained: int, lost: int, alike: int, label: str = "rose") -> Paired:
    old = [False] * gained + [True] * lost + [True] * alike
    new = [True] * gained + [False] * lost + [True] * alike
    return Paired.of(old, new, [label] * len(old))


def test_better_on_one_set_and_no_worse_on_the_other() -> None:
    found = judge({HELD_OUT: paired(6, 5, 1000), STREAM: paired(30, 5, 65)}, Bounds())
    assert found.better
    assert "points" in found.brief[STREAM]


def test_a_gain_that_chance_explains_is_no_gain_and_it_says_how_many_more_would_show_it() -> None:
    (missing,) = judge({STREAM: paired(9, 4, 90)}, Bounds(drop=10)).missing
    assert "not sure yet" in missing
    more = int(missing.partition("about ")[2].split()[0].replace(",", ""))
    scale = (103 + more) / 103
    enough = paired(round(9 * scale), round(4 * scale), round(90 * scale))
    assert enough.whole.interval[0] == pytest.approx(0, abs=0.6)


def test_a_possible_loss_is_one_and_it_says_how_many_more_would_tell() -> None:
    sets = {HELD_OUT: paired(4, 4, 92), STREAM: paired(30, 2, 68)}
    (missing,) = judge(sets, Bounds(drop=2)).missing
    assert "on held-out pictures it may lose up to" in missing
    assert judge(sets, Bounds(drop=10)).better
    sets[HELD_OUT] = paired(1, 9, 90)
    assert "on held-out pictures it is worse" in judge(sets, Bounds(drop=5)).missing[0]


def test_a_class_may_lose_one_picture_or_its_bound() -> None:
    old = [True] * 400 + [False] * 200
    new = [True] * 398 + [False] * 2 + [True] * 200
    shown = ["tulip"] * 370 + ["rose"] * 30 + ["daisy"] * 200
    (missing,) = judge({STREAM: Paired.of(old, new, shown)}, Bounds()).missing
    assert "the class 'rose' loses 2 of 30, -6.7 points (p = 0.50)" in missing
    assert judge({STREAM: Paired.of(old, new, shown)}, Bounds(class_drop=7)).better
    new[399] = True
    assert judge({STREAM: Paired.of(old, new, shown)}, Bounds()).better


def test_a_class_that_it_no_longer_knows() -> None:
    sets = {STREAM: paired(30, 0, 70)}
    (missing,) = judge(sets, Bounds(), lost_labels=("tulip",)).missing
    assert missing == "it no longer knows the class 'tulip'"


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    """Labelled frames of colours: a random stream, and others that are all labelled wrongly."""
    (tmp_path / inbox.FRAMES).mkdir()
    lines, rows = [], ["file,label,board,moment"]
    rng = np.random.default_rng(0)
    for number in range(60):
        name = list(COLOURS)[number % 3]
        image = np.full((32, 32, 3), COLOURS[name], np.uint8)
        image[rng.integers(0, 32), rng.integers(0, 32)] ^= rng.integers(1, 60, 3, np.uint8)
        png = cv2.imencode(".png", image)[1].tobytes()
        sha256 = hashlib.sha256(png).hexdigest()
        file = f"{inbox.FRAMES}/{sha256[: inbox.DIGITS]}.png"
        (tmp_path / file).write_bytes(png)
        random = number % 2 == 0
        kept = {
            **{"file": file, "sha256": sha256, "time": "2026-11-27T07:00:00+00:00"},
            **{"bundle": "0" * 12, "label": name, "probability": 0.5, "probabilities": {name: 0.5}},
            **({"why": "random", "inclusion": 0.1} if random else {"why": "shadow"}),
            "moment": f"m{number}",
        }
        lines.append(json.dumps(kept))
        rows.append(f"{file},{name if random else 'blue'},,m{number}")
    (tmp_path / inbox.LINES).write_text("\n".join(lines) + "\n")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    return tmp_path


def test_only_the_random_stream_speaks_for_all_frames(stream: Path) -> None:
    bundle = probe.bundle("colours").path
    found = ask(bundle, bundle, Evidence(inboxes=(stream,)))
    assert list(found.sets) == [STREAM]
    whole = found.sets[STREAM].whole
    assert (whole.count, whole.old, whole.gained, whole.lost) == (30, 1.0, 0, 0)
    # Of those on which candidates differed, a third is what its label says.
    assert (found.settled.frames, found.settled.old, found.settled.new) == (30, 10, 10)


def test_a_dispute_is_waited_for_and_what_shows_no_class_is_not(stream: Path) -> None:
    bundle = probe.bundle("colours").path
    first, second, *_ = sorted(kept.sha256 for kept in inbox.read(stream) if kept.random)
    lines = (stream / "labels.csv").read_text().splitlines()
    none = [
        f"{line.split(',')[0]},none of mine,,m" if first[:24] in line else line for line in lines
    ]
    (stream / "labels.csv").write_text("\n".join(none))
    assert ask(bundle, bundle, Evidence(inboxes=(stream,))).sets[STREAM].whole.count == 29
    # Two people: the second says something else of one frame.
    other = [f"frames/{second[:24]}.png,purple,,m,ben"]
    rows = [f"{line},ann" if number else f"{line},by" for number, line in enumerate(none)]
    (stream / "labels.csv").write_text("\n".join(rows + other))
    with pytest.raises(DataError, match="nothing to judge by"):
        ask(bundle, bundle, Evidence(inboxes=(stream,)))


def test_what_it_was_trained_on_says_nothing(stream: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = probe.bundle("colours").path
    digests = [bytes.fromhex(one.sha256) for one in inbox.read(stream) if one.random]
    learned = frozenset(digests[:10])
    monkeypatch.setattr(evidence, "_learned", lambda _: (learned, []))
    assert ask(bundle, bundle, Evidence(inboxes=(stream,))).sets[STREAM].whole.count == 20
    monkeypatch.setattr(evidence, "_learned", lambda _: (frozenset(digests), []))
    with pytest.raises(DataError, match="nothing to judge by"):
        ask(bundle, bundle, Evidence(inboxes=(stream,)))


def test_it_has_to_fit_beside_what_else_is_in_memory() -> None:
    sets = {STREAM: paired(30, 0, 70)}
    assert judge(sets, Bounds(), room=Room(100_000_000, 100_000_000)).better
    (missing,) = judge(sets, Bounds(), room=Room(120_000_000, 100_000_000)).missing
    assert missing == "it takes 120 MB of memory there, and 100 MB are free for it"


def test_a_history_that_was_changed_is_shown_as_far_as_it_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_board, "HISTORY", tmp_path / "history.jsonl")
    on_board.HISTORY.write_bytes(
        b'{"at": "2026-11-27", "did": "deploy", "bundle": "0123", "judged": "well"}\n'
        b"\xff\x00\n[1]\n" + b"[" * 5000 + b"\n"
        b'{"at": "2026-11-28", "did": "deploy", "bundle": "4567"}\n'
    )
    found = {"of": "pi", "changes": on_board.history()["changes"]}
    torn = "  a line that was torn off or changed"
    assert list(history._lines(found)) == [
        *("pi", torn, torn, torn, torn),
        "  2026-11-28  deploy  bundle 4567",
    ]


def test_going_back_to_what_was_damaged_is_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_board, "HISTORY", tmp_path / "history.jsonl")
    monkeypatch.setattr(on_board, "RELEASES", tmp_path)
    on_board._note("rollback", "gone", None)
    (change,) = on_board.history()["changes"]
    assert (change["release"], change["bundle"]) == ("gone", None)


def test_the_history_survives_a_line_that_was_torn_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_board, "HISTORY", tmp_path / "history.jsonl")
    monkeypatch.setattr(on_board, "RELEASES", tmp_path)
    (tmp_path / "one/bundle").mkdir(parents=True)
    (tmp_path / "one/bundle/manifest.json").write_text('{"training": {"data": {}}}')
    on_board._note("deploy", "one", {"by": "ann"})
    with on_board.HISTORY.open("a") as stream:
        stream.write('{"at": "2026')
    on_board._note("rollback", "one", None)
    changes = on_board.history()["changes"]
    assert [(one["did"], one.get("by")) for one in changes] == [
        ("deploy", "ann"),
        ("unreadable", None),
        ("rollback", None),
    ]
    assert changes[0]["training"] == {"data": {}}
