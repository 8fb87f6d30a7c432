"""Really exported networks on the target side: answers on real photographs, and memory."""

import csv
from pathlib import Path

import pytest

import edgecnn
from edgecnn.targets.engines import runtimes


@pytest.mark.parametrize("runtime", runtimes.RUNTIMES)
def test_photographs_are_recognised(lite0_bundle: Path, samples: Path, runtime: str) -> None:
    folder = samples / "photographs"
    with (folder / "labels.csv").open(newline="") as stream:
        label = {row["file"]: int(row["label"]) for row in csv.DictReader(stream)}
    expected = [label[path.name] for path in sorted(folder.glob("*.jpg"))]
    predictions = list(edgecnn.classify(str(folder), lite0_bundle, runtime=runtime))
    assert len(predictions) == len(expected) == 20
    right = sum(p.top[0].class_index == e for p, e in zip(predictions, expected, strict=True))
    assert right >= 17


@pytest.mark.parametrize("bundle", ["lenet5_bundle", "lite0_bundle"])
def test_the_predicted_memory_is_near_the_measured(
    bundle: str, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(bundle)
    found = edgecnn.profile(path, threads=(1,), runs=10, seconds=0)
    errors = {run.runtime: run.prediction_error for run in found.runs}
    assert set(errors) == set(runtimes.RUNTIMES)
    assert all(error is not None and abs(error) < 0.1 for error in errors.values()), errors


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet34", "vgg16"])
def test_so_it_is_of_larger_networks(name: str, tmp_path: Path) -> None:
    bundle = edgecnn.export(name, weights="random", out=tmp_path / name)
    found = edgecnn.profile(bundle.path, runs=10, seconds=0)
    errors = {run.runtime: run.prediction_error for run in found.runs}
    assert set(errors) == set(runtimes.RUNTIMES)
    assert all(error is not None and abs(error) < 0.1 for error in errors.values()), errors
