"""Whether int8 is worth it, measured on the machine of the export."""

import json
from pathlib import Path

import pytest

from edgecnn.export.verdict import Cost, Duel, Verdict


def test_an_export_measures_both_in_every_runtime(lenet5_bundle: Path) -> None:
    manifest = json.loads((lenet5_bundle / "manifest.json").read_text())
    found = Verdict.from_json(manifest["worth"])
    assert [duel.runtime for duel in found.duels] == ["litert", "onnxruntime", "openvino"]
    for duel in found.duels:
        assert list(duel.costs) == ["float32", "fp16", "int8"]
        for cost in duel.costs.values():
            assert cost.p50_ms > 0
            assert cost.peak_bytes > 20e6, "a whole process"
        assert duel.fp16 is not None
        assert duel.float32.bytes > duel.fp16.bytes > duel.int8.bytes
        verification = next(
            artifact["verification"]
            for artifact in manifest["artifacts"].values()
            if sum(file["bytes"] for file in artifact["files"]) == duel.int8.bytes
        )
        assert duel.int8.agreement_top1 == verification["agreement_top1"]
        assert duel.float32.agreement_top1 == 1.0
    assert json.loads(json.dumps(found.to_json())) == manifest["worth"]
    sizes = {
        name: sum(file["bytes"] for file in artifact["files"])
        for name, artifact in manifest["artifacts"].items()
    }
    assert {duel.int8.bytes for duel in found.duels} == set(sizes.values())


@pytest.mark.parametrize(
    ("int8_ms", "float_ms", "said"),
    [
        (
            2.0,
            6.0,
            "worth it here: int8 in litert (2.00 ms) against float32 in litert (6.00 ms), 3.0",
        ),
        (2.0, 2.1, "no faster here"),
        (2.1, 2.0, "no faster here"),
        (
            6.0,
            3.0,
            "slower here: int8 in litert (6.00 ms) against float32 in litert (3.00 ms), 2.0",
        ),
    ],
)
def test_the_verdict_says_when_int8_loses(int8_ms: float, float_ms: float, said: str) -> None:
    duel = Duel("litert", Cost(int8_ms, 10, 100), Cost(float_ms, 40, 200))
    verdict = Verdict("a processor", 4, (duel,), ()).sentence
    assert said in verdict
    assert "4.0 times smaller" in verdict


def test_the_best_of_each_are_compared_over_all_runtimes() -> None:
    """A runtime in which float is slow must not make int8 look fast."""
    slow_float = Duel("onnxruntime", Cost(4.0, 10, 100), Cost(20.0, 40, 200))
    fast_float = Duel("openvino", Cost(5.0, 10, 100), Cost(3.0, 40, 200))
    verdict = Verdict("a processor", 4, (slow_float, fast_float), ()).sentence
    assert "slower here: int8 in onnxruntime (4.00 ms) against float32 in openvino (3.00" in verdict


def test_fp16_is_the_rival_where_it_is_the_faster() -> None:
    duel = Duel("litert", Cost(4.0, 10, 100), Cost(8.0, 40, 200), Cost(3.0, 20, 150))
    verdict = Verdict("a processor", 4, (duel,), ())
    assert "slower here: int8 in litert (4.00 ms) against fp16 in litert (3.00" in verdict.sentence
    assert "2.0 times smaller" in verdict.sentence
    assert Verdict.from_json(verdict.to_json()) == verdict


def test_a_verdict_of_before_fp16_is_still_read() -> None:
    cost = {"p50_ms": 1.0, "bytes": 10, "peak_bytes": 100}
    duel = {"runtime": "litert", "int8": cost, "float32": cost | {"bytes": 40}}
    said = {"cpu": "a processor", "threads": 4, "duels": [duel], "disturbances": []}
    (found,) = Verdict.from_json(said).duels
    assert list(found.costs) == ["float32", "int8"]
