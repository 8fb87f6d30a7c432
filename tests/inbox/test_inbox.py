"""Lines of kept frames, as they may come from anywhere."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgecnn import inbox
from edgecnn.errors import DataError

GOOD: dict[str, Any] = {
    "file": f"frames/{'a1' * 12}.jpg",
    "sha256": "a1" * 32,
    "time": "2026-11-27T07:00:00.250000+00:00",
    "bundle": "0123456789ab",
    "label": "daisy",
    "probability": 0.4,
    "probabilities": {"daisy": 0.4, "rose": 0.35},
    "why": "uncertain",
    "moment": "20261127T0700-3",
}
WRONG: dict[str, dict[str, Any]] = {
    "a name outside": {"file": "frames/../../etc/passwd"},
    "another name": {"file": f"frames/{'b2' * 12}.jpg"},
    "a hash of another kind": {"sha256": "a1"},
    "an unknown reason": {"why": "because"},
    "random without inclusion": {"why": "random"},
    "chosen with inclusion": {"inclusion": 0.5},
    "an inclusion of none": {"why": "random", "inclusion": 0},
    "a probability above one": {"probability": 1.5},
    "a probability in words": {"probabilities": {"daisy": "much"}},
    "a number as label": {"label": 3},
    "a region of three": {"region": [0, 0, 1]},
    "a key that nobody knows": {"colour": "red"},
}


def test_what_is_written_is_read() -> None:
    more = {"why": "random", "inclusion": 0.001, "region": [0.25, 0, 0.5, 1], "board": "pi@eye"}
    for line in (GOOD, GOOD | more):
        kept = inbox.Kept.from_json(line)
        assert json.loads(json.dumps(kept.to_json())) == line


@pytest.mark.parametrize("changed", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_with_its_line(changed: dict[str, Any], tmp_path: Path) -> None:
    lines = [json.dumps(GOOD), json.dumps(GOOD | changed), ""]
    (tmp_path / inbox.LINES).write_text("\n".join(lines))
    with pytest.raises(DataError, match="line 2: ") as caught:
        inbox.read(tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_torn_line_and_a_picture_that_is_away_are_left_out(tmp_path: Path) -> None:
    other = GOOD | {"file": f"frames/{'b2' * 12}.png", "sha256": "b2" * 32}
    (tmp_path / "frames").mkdir()
    (tmp_path / GOOD["file"]).touch()
    lines = json.dumps(GOOD) + "\n" + json.dumps(other) + "\n" + json.dumps(other)[:50]
    (tmp_path / inbox.LINES).write_text(lines)
    assert [kept.file for kept in inbox.read(tmp_path)] == [GOOD["file"]]
    with pytest.raises(DataError, match="holds no kept frames"):
        inbox.read(tmp_path / "frames")
