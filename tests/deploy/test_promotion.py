"""`deploy --if-better` and `history`, against a real board on loopback."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from edgecnn.bundle import MANIFEST, describe_file
from edgecnn.cli import cli

COLOURS = {"red": (0, 0, 255), "green": (0, 255, 0), "blue": (255, 0, 0)}
OTHER = {"red": "green", "green": "blue", "blue": "red"}


@pytest.fixture
def candidate(old_bundle: Path, tmp_path: Path) -> Path:
    """The network that runs on the board, which calls each colour by another's name."""
    folder = Path(shutil.copytree(old_bundle, tmp_path / "candidate"))
    manifest = json.loads((folder / MANIFEST).read_text())
    labels = folder / manifest["labels"]["path"]
    named = [OTHER.get(label, label) for label in labels.read_text().splitlines()]
    labels.write_text("\n".join(named) + "\n")
    manifest["labels"] = vars(describe_file(folder, labels.name))
    # One format, to measure in one engine.
    manifest["artifacts"] = {"tflite": manifest["artifacts"]["tflite"]}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


def pictures(folder: Path, names: dict[str, str]) -> Path:
    """Thirty of each colour, in the folder of that name."""
    rng = np.random.default_rng(0)
    for colour, pixel in COLOURS.items():
        where = folder / names[colour]
        where.mkdir(parents=True)
        for number in range(30):
            image = np.full((40, 40, 3), pixel, np.uint8)
            image[rng.integers(0, 40), rng.integers(0, 40)] ^= rng.integers(1, 60, 3, np.uint8)
            cv2.imwrite(str(where / f"{number}.png"), image)
    return folder


def test_only_a_better_one_is_switched_to(
    user: Any, board: Any, candidate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = board.current
    true = pictures(tmp_path / "true", {name: name for name in COLOURS})
    refused = user.deploys(candidate, "pi", "--if-better", "--data", true, "--json")
    assert refused.returncode == 1, refused.stderr
    assert "not promoted: on held-out pictures it is worse: 100.0% -> 0.0%" in refused.stderr
    (outcome,) = json.loads(refused.stdout)["boards"]
    assert outcome["current"] == board.current == current
    judgement = outcome["judgement"]
    assert judgement["sets"]["held-out pictures"]["lost"] == 90
    assert "class 'blue' loses 30 of 30" in judgement["missing"][1]
    assert all(figure["subject"].startswith("litert") for figure in judgement["figures"])
    assert len(judgement["figures"]) >= 4
    assert 1e7 < judgement["room"]["needed_bytes"] < judgement["room"]["free_bytes"]

    # To whoever calls colours as it does, the same one is better.
    theirs = pictures(tmp_path / "theirs", OTHER)
    promoted = user.deploys(candidate, "pi", "--if-better", "--data", theirs)
    assert promoted.returncode == 0, promoted.stderr
    assert "90 held-out pictures: 0.0% -> 100.0%, +100.0 points" in promoted.stderr
    assert board.previous == current

    monkeypatch.setenv("PATH", user.environment["PATH"])
    told = CliRunner().invoke(cli, ["history", "pi", "--json"])
    assert told.exit_code == 0, told.output
    ((last,),) = (one["changes"][-1:] for one in json.loads(told.output)["histories"])
    assert last["release"] == board.current
    assert f"--if-better --data {theirs}" in last["command"]
    assert "+100.0 points" in last["judged"]["held-out pictures"]

    said = CliRunner().invoke(cli, ["deploy", "--rollback", "pi"])
    assert said.exit_code == 0, said.output
    assert board.current == current
    shown = CliRunner().invoke(cli, ["history", "pi"])
    assert "  rollback  bundle " in shown.output


@pytest.mark.parametrize(
    "words",
    [
        ("x", "pi", "--if-better"),
        ("x", "pi", "--data", "digits"),
        ("pi", "--rollback", "--if-better", "--data", "digits"),
    ],
)
def test_evidence_and_the_wish_for_it_go_together(words: tuple[str, ...]) -> None:
    said = CliRunner().invoke(cli, ["deploy", *words])
    assert said.exit_code == 2
    assert "--if-better takes --data or --inbox" in said.output
