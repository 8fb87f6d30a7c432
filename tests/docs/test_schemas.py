"""What the schemas say is what bundles, profiles and JSON lines are."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

import edgecnn
from edgecnn.targets.answer import AnswerOptions
from edgecnn.targets.live.decisions import DecisionRule
from edgecnn.targets.live.loop import LiveOptions

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
DEMO = Path(edgecnn.__file__).parent / "demo"


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text())
    Draft202012Validator.check_schema(found)
    return found


def problems(name: str, document: Any) -> list[str]:
    errors = Draft202012Validator(schema(name)).iter_errors(document)
    return [f"{error.json_path}: {error.message}" for error in errors]


def undescribed(name: str, document: dict[str, Any]) -> list[str]:
    """Keys of a document that its schema says nothing of."""
    strict = _closed(schema(name))
    errors = Draft202012Validator(strict).iter_errors(document)
    return [f"{error.json_path}: {error.message}" for error in errors]


def _closed(part: Any) -> Any:
    """The same where an object has no keys but those described."""
    if isinstance(part, list):
        return [_closed(one) for one in part]
    if not isinstance(part, dict):
        return part
    closed = {key: _closed(value) for key, value in part.items()}
    if isinstance(part.get("properties"), dict) and "additionalProperties" not in part:
        closed["additionalProperties"] = False
    return closed


def without_one(document: dict[str, Any], spec: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The document without each of the keys that must be there."""
    for key in spec["required"]:
        changed = copy.deepcopy(document)
        del changed[key]
        yield key, changed


def test_bundles_are_as_described(lenet5_bundle: Path) -> None:
    for bundle in (lenet5_bundle, DEMO / "bundle"):
        manifest = json.loads((bundle / "manifest.json").read_text())
        assert problems("manifest", manifest) == []
        assert undescribed("manifest", manifest) == []
        for key, changed in without_one(manifest, schema("manifest")):
            assert problems("manifest", changed), key
    manifest["labels"]["sha256"] = "0"
    assert problems("manifest", manifest)


def test_a_profile_is_as_described(lenet5_bundle: Path) -> None:
    found = edgecnn.profile(
        lenet5_bundle, runtimes=["onnxruntime"], threads=(1,), runs=5, seconds=0, per_layer=True
    )
    profile = json.loads(json.dumps(found.to_json()))
    assert problems("profile", profile) == []
    for key, changed in without_one(profile, schema("profile")):
        assert problems("profile", changed), key


def test_json_lines_are_as_described() -> None:
    options = LiveOptions(
        answers=AnswerOptions.parse(False, "95%", "1%"),
        rule=DecisionRule("majority:3", threshold=0.6),
        alarm=edgecnn.AlarmOptions(days=30),
    )
    answers = edgecnn.classify(
        str(DEMO / "pictures"), DEMO / "bundle", runtime="litert", options=options
    )
    lines = [json.loads(json.dumps(next(answers).to_json())) for _ in range(5)]
    assert {"possible", "familiarity", "alarm", "decision"} <= set(lines[0])
    for line in lines:
        assert problems("prediction", line) == []
        assert undescribed("prediction", line) == []
    for key, changed in without_one(lines[0], schema("prediction")):
        assert problems("prediction", changed), key


def test_labels_that_each_hold_or_not_are_described(write_head: Any, tmp_path: Path) -> None:
    bundle = write_head(tmp_path / "b", edgecnn.Head.of("sigmoid", 3), "r", "g", "b")
    classify = edgecnn.load(bundle, runtime="onnxruntime")
    line = json.loads(json.dumps(classify(np.full((9, 9, 3), 200, np.uint8)).to_json()))
    assert line["labels"] == ["r", "g", "b"]
    assert problems("prediction", line) == []
    assert undescribed("prediction", line) == []


@pytest.mark.slow
def test_a_bundle_with_everything_is_as_described(lenet5_run: Path, tmp_path: Path) -> None:
    bundle = edgecnn.export(
        lenet5_run, out=tmp_path / "b", explain_layers=True, verdict=True, max_drop=50
    )
    manifest = json.loads((bundle.path / "manifest.json").read_text())
    assert {"worth", "layers_sqnr_db", "layers_plot", "album", "sbom"} <= set(manifest)
    assert problems("manifest", manifest) == []
    assert undescribed("manifest", manifest) == []
