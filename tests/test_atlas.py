"""An atlas: two small networks on digits, ended in the middle and gone on with.

Those that train and measure for it are slow.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edgecnn.charting import Atlas, atlas, rows
from edgecnn.charting.measuring import repair
from edgecnn.charting.page import markdown
from edgecnn.charting.recipe import Recipe
from edgecnn.cli import cli
from edgecnn.errors import CheckFailed, DataError, EdgeCnnError
from edgecnn.targets.engines import runtimes

NAMES = ("mobilenet_v3_small", "lenet5")
RECIPE: dict[str, Any] = {"epochs": 1, "input_shape": (32, 32, 1), "augment": "none"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("atlas")


@pytest.fixture(scope="module")
def whole(folder: Path) -> Atlas:
    """Ended after the first row, in the middle of the second network's training; then again."""

    def end(what: str) -> None:
        if what.startswith("mobilenet_v3_small"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        atlas("digits", NAMES, out=folder, progress=end, **RECIPE)
    (first,) = folder.glob("*.json")
    assert first.name == "lenet5.json"  # the network of fewer operations
    made = first.stat().st_mtime_ns
    told: list[str] = []
    found = atlas("digits", NAMES, out=folder, progress=told.append, **RECIPE)
    assert first.stat().st_mtime_ns == made
    assert not any(what.startswith("lenet5") for what in told)
    return found


@pytest.mark.slow
def test_a_row_says_what_a_network_is_worth_and_costs(whole: Atlas) -> None:
    assert [row["architecture"] for row in whole.rows] == ["lenet5", "mobilenet_v3_small"]
    for row in whole.rows:
        low, high = row["float32"]["interval"]
        assert low <= row["float32"]["top1"] <= high
        assert set(row["int8"]) == set(row["engines"]) == set(runtimes.RUNTIMES)
        assert row["pictures"] == 179
        for name, engine in row["engines"].items():
            low, high = row["int8"][name]["interval"]
            assert low <= row["int8"][name]["top1"] <= high
            assert 0 < engine["latency_ms"]["min"] <= engine["latency_ms"]["p50"]
            assert engine["predicted_ram_bytes"] == pytest.approx(engine["ram_bytes"], rel=0.2)
    small, large = whole.rows
    assert small["macs"] < large["macs"]
    assert small["float32"]["top1"] > 0.3  # it has learnt something


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["atlas", *arguments])


@pytest.mark.slow
def test_a_cluster_makes_the_same_row(whole: Atlas, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    found = atlas("digits", ["lenet5"], out=tmp_path, ray="local", **RECIPE)
    (row,), (alone, _) = found.rows, whole.rows
    for what in ("float32", "int8", "repair", "recipe", "ladder"):
        assert row[what] == alone[what]
    assert json.loads((tmp_path / "lenet5.json").read_text()) == row


@pytest.mark.slow
def test_the_command_shows_what_is_there_and_names_what_does_not_fit(
    whole: Atlas, tmp_path: Path
) -> None:
    page, picture = tmp_path / "atlas.md", tmp_path / "atlas.svg"
    common = ("--data", "digits", "--input", "32x32x1", "--epochs", "1", "--augment", "none")
    files = ("--markdown", str(page), "--picture", str(picture))
    done = run("alexnet", *NAMES, *common, "--out", str(whole.folder), *files, "--json")
    assert isinstance(done.exception, CheckFailed)
    assert "1 of 3 networks have no row: alexnet: alexnet takes pictures" in str(done.exception)
    told = json.loads(done.stdout)
    assert told["rows"] == whole.to_json()["rows"]
    text = page.read_text()
    assert re.search(r"^\| lenet5 \| 61,706 \| 0\.4 M \|", text, re.MULTILINE)
    assert "alexnet has no row" in text
    assert "lenet5" in picture.read_text()
    done = run(*NAMES, *common, "--out", str(whole.folder))
    assert done.exit_code == 0
    assert "mobilenet_v3_small" in done.stdout


@pytest.mark.slow
def test_cost_can_be_measured_again(whole: Atlas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "speed_and_memory", lambda *_: {"engines": {}, "cpu": "another"})
    found = atlas("digits", ["lenet5"], out=whole.folder, measure_again=True, **RECIPE)
    (row,), (before, _) = found.rows, whole.rows
    assert (row["cpu"], row["engines"]) == ("another", {})
    assert row["int8"] == before["int8"]


def test_finished_rows_are_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def measure(name: str, recipe: Recipe, *_: Any) -> dict[str, Any]:
        made.append(name)
        if made.count("mobilenet_v3_small") == 1 and name != "lenet5":
            raise KeyboardInterrupt
        if name == "alexnet":
            raise EdgeCnnError("too small")
        return {"architecture": name, "recipe": recipe.to_json()}

    monkeypatch.setattr(rows, "measure", measure)
    with pytest.raises(KeyboardInterrupt):
        atlas("digits", NAMES, out=tmp_path, **RECIPE)
    found = atlas("digits", [*NAMES, "alexnet"], out=tmp_path, **RECIPE)
    assert made == ["lenet5", "mobilenet_v3_small", "mobilenet_v3_small", "alexnet"]
    assert [row["architecture"] for row in found.rows] == ["lenet5", "mobilenet_v3_small"]
    assert found.refused == {"alexnet": "too small"}
    assert not (tmp_path / "alexnet.json").exists()
    with pytest.raises(DataError, match=r"lenet5\.json is of another recipe \(epochs differ\)"):
        atlas("digits", NAMES, out=tmp_path, **RECIPE | {"epochs": 2})


def test_repairs_are_told_in_words() -> None:
    recipe: dict[str, Any] = {"equalise": False, "float_layers": []}
    assert repair(recipe) == "none"
    assert repair(recipe | {"equalise": True}) == "cross-layer equalisation"
    assert repair({"equalise": True, "float_layers": ["a", "b"]}) == (
        "cross-layer equalisation, 2 layers in float"
    )


def test_a_broken_row_is_said(tmp_path: Path) -> None:
    (tmp_path / "lenet5.json").write_text("{")
    with pytest.raises(DataError, match="Remove it to make that row anew"):
        atlas("digits", ["lenet5"], out=tmp_path, **RECIPE)


@pytest.mark.slow
def test_the_tables_mark_what_was_disturbed(whole: Atlas) -> None:
    row = json.loads(json.dumps(whole.rows[0]))
    for engine in row["engines"].values():
        engine["valid"] = True
    quiet = Atlas(whole.folder, whole.recipe, (row,), {})
    assert "disturbed" not in markdown(quiet)
    next(iter(row["engines"].values()))["valid"] = False
    assert "disturbed by other programs" in markdown(quiet)
