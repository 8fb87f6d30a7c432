"""Quantisation-aware training: from a float network to integers that export writes as they are."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import edgecnn
from edgecnn.bundle import file_sha256
from edgecnn.calibration.calibration_set import CalibrationSet
from edgecnn.checkpoint import INTEGERS, Checkpoint
from edgecnn.cli.train import command
from edgecnn.errors import DataError, EdgeCnnError, UnknownName
from edgecnn.export import network as networks
from edgecnn.export.folding import with_whole_zero_point
from edgecnn.export.formats.tflite.writer import to_tflite
from edgecnn.export.progress import ExportProgress
from edgecnn.export.qat import stored
from edgecnn.export.quantised import Quantised
from edgecnn.export.recipe import Quantiser, Recipe
from edgecnn.export.request import Options, Request
from edgecnn.graph import Graph, Operator
from edgecnn.pictures import prepare
from edgecnn.training.state import RunState

Array = np.ndarray
OPTIONS = Options.of(
    *("int8", "auto", 8),
    symmetric=False,
    max_drop=None,
    explain_layers=False,
    verdict=False,
    features=False,
)


@pytest.fixture(scope="module")
def trained(lenet5_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """LeNet-5's integers, from a start that is off by far."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Quantiser, "quantise", off_by_far)
        out = tmp_path_factory.mktemp("qat") / "run"
        return edgecnn.train_qat(lenet5_run, out=out, epochs=8, learning_rate=0.1)


quantise = Quantiser.quantise


def off_by_far(quantiser: Quantiser, recipe: Recipe) -> Quantised:
    """As export would quantise, but for weights that are off by up to nine steps."""
    found = quantise(quantiser, recipe)
    rng = np.random.default_rng(0)
    weights = {}
    for name, ints in found.weights.items():
        noise = rng.integers(-9, 10, ints.kernel.shape)
        kernel = np.clip(ints.kernel + noise, -127, 127).astype(np.int8)
        weights[name] = replace(ints, kernel=kernel)
    return replace(found, weights=weights)


def integers_of(checkpoint: Checkpoint) -> tuple[Quantised, Graph]:
    """What was trained, and the float graph whose integers these are."""
    network = networks.of_checkpoint(checkpoint)
    pictures = CalibrationSet.load(checkpoint.calibration)
    request = Request.of(network, pictures, OPTIONS, None, ExportProgress())
    assert request.integers is not None
    return request.integers, with_whole_zero_point(request.graph)


def test_less_is_lost_and_the_float_network_stays(trained: Checkpoint, lenet5_run: Path) -> None:
    figures = trained.details["qat"]
    assert figures["kl"] < 0.5 * figures["kl_before"]
    before = Checkpoint.load(lenet5_run).load_model().get_weights()
    for mine, theirs in zip(trained.load_model().get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert {path.name for path in trained.path.iterdir()} == {
        *("run.json", "model.keras", "labels.txt", "checkpoint.json", "calibration"),
        *("history.csv", INTEGERS),
    }


def test_held_out_pictures_were_not_trained_on(trained: Checkpoint, lenet5_run: Path) -> None:
    own = CalibrationSet.load(lenet5_run / "calibration")
    mine = CalibrationSet.load(trained.calibration)
    assert {p.sha256 for p in mine.held_out} == {p.sha256 for p in own.held_out}
    assert not {p.sha256 for p in mine.pictures} & {p.sha256 for p in own.held_out}


def test_export_writes_the_trained_integers(trained: Checkpoint, tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    bundle = edgecnn.export(trained.path, "tflite", out=tmp_path / "bundle")
    assert bundle.manifest["quantisation"]["trained"]
    interpreter = Interpreter(str(tmp_path / "bundle" / "model.tflite"))
    found = {detail["name"]: detail for detail in interpreter.get_tensor_details()}
    integers, _ = integers_of(trained)
    for name in ("c1", "c3", "c5"):
        written = found[f"{name}/kernel"]
        kernel = interpreter.get_tensor(written["index"]).transpose(1, 2, 3, 0)
        np.testing.assert_array_equal(kernel, integers.weights[name].kernel)
        scales = written["quantization_parameters"]["scales"]
        np.testing.assert_array_equal(scales, integers.weights[name].scales)
        scale, zero_point = found[name]["quantization"]
        held = integers.scales[name]
        assert (scale, zero_point + 128) == (pytest.approx(held.scale), held.zero_point)


def test_a_bundle_is_made_anew_for_other_integers(trained: Checkpoint, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "bundle"
    shutil.copytree(trained.path, run)
    first = edgecnn.export(run, "tflite", out=out).manifest["fingerprint"]
    assert edgecnn.export(run, "tflite", out=out).manifest["fingerprint"] == first
    quantised, _ = integers_of(trained)
    last = quantised.weights["f6"]
    quantised.weights["f6"] = replace(last, bias=last.bias + 1)
    stored.write(run / INTEGERS, quantised, file_sha256(run / "model.keras"))
    manifest = json.loads((run / "checkpoint.json").read_text())
    manifest["qat"]["sha256"] = file_sha256(run / INTEGERS)
    (run / "checkpoint.json").write_text(json.dumps(manifest))
    assert edgecnn.export(run, "tflite", out=out).manifest["fingerprint"] != first


def alone(op: Operator, quantised: Quantised) -> Quantised:
    """The operator alone, of integers that are given to it."""
    (name,) = op.inputs
    scale = quantised.scales[name]
    attributes = {"scale": scale.scale, "zero_point": scale.zero_point}
    entry = Operator(name, "input", [], quantised.graph[name].shape, attributes)
    return replace(quantised, graph=Graph([entry, op], op.name))


def held(values: Any, quantised: Quantised, name: str) -> Array:
    """Real values as the integers that stand for them."""
    scale = quantised.scales[name]
    return np.round(np.asarray(values) / scale.scale).astype(int) + scale.zero_point


def test_training_sees_the_integers_of_litert(trained: Checkpoint) -> None:
    """Operator by operator, each of the same integers: in one value of 10,000 a step apart.

    Half-way cases of an average are rounded up by one and away from zero by the other.
    """
    from ai_edge_litert.interpreter import Interpreter

    from edgecnn.export.qat.network import Int8Network

    quantised, _ = integers_of(trained)
    pictures = CalibrationSet.load(trained.calibration).held_out[:8]
    images = prepare(pictures, trained.preprocessing)
    network = Int8Network(quantised, quantised.graph.output)
    network(images)
    names = [op.name for op in quantised.graph if op.name in quantised.scales]
    seen = network.tensors(images, names)
    compared = []
    for op in quantised.graph.operators[1:]:
        if not quantised.runs_in_int8(op) or len(op.inputs) != 1:
            continue
        model = to_tflite((one := alone(op, quantised)).graph, one)
        interpreter = Interpreter(model_content=model, num_threads=1)
        interpreter.allocate_tensors()
        (entry,), (end,) = interpreter.get_input_details(), interpreter.get_output_details()
        apart = []
        given = held(seen[op.inputs[0]], quantised, op.inputs[0]).astype(np.uint8)
        for value, expected in zip(given, held(seen[op.name], quantised, op.name), strict=True):
            interpreter.set_tensor(entry["index"], value[None])
            interpreter.invoke()
            found = held(interpreter.get_tensor(end["index"])[0], quantised, op.name)
            apart.append(np.abs(found - expected).ravel())
        steps = np.concatenate(apart)
        assert steps.max() <= 1, op.name
        assert (steps > 0).mean() <= (0.2 if op.op == "avg_pool" else 1e-4), op.name
        compared.append(op.op)
    assert {"conv", "dense", "avg_pool"} <= set(compared)


def test_interrupted_run_resumes_to_the_same_integers(
    trained: Checkpoint, lenet5_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = RunState.record

    def stopped(self: RunState, row: Any, graph: Any) -> None:
        record(self, row, graph)
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Quantiser, "quantise", off_by_far)
        patch.setattr(RunState, "record", stopped)
        with pytest.raises(KeyboardInterrupt):
            edgecnn.train_qat(lenet5_run, out=run, epochs=8, learning_rate=0.1)
    assert not (run / "checkpoint.json").exists()
    done = CliRunner().invoke(command, ["--resume", "--out", str(run)])
    assert done.exit_code == 0, done.output
    again = Checkpoint.load(run)
    assert again.details["epochs"] == 8
    assert again.details["qat"]["kl"] == pytest.approx(trained.details["qat"]["kl"], rel=1e-3)
    one, other = integers_of(trained)[0], integers_of(again)[0]
    for name, ints in one.weights.items():
        assert (other.weights[name].kernel == ints.kernel).mean() > 0.999, name


def test_integers_that_were_changed_or_moved_are_refused(
    trained: Checkpoint, tmp_path: Path
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(trained.path, copy)
    with (copy / INTEGERS).open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(DataError, match="changed since it was trained"):
        edgecnn.export(copy, "tflite", out=tmp_path / "bundle")
    shutil.copyfile(trained.path / INTEGERS, copy / INTEGERS)
    model = trained.load_model()
    model.set_weights([weight * 1.01 for weight in model.get_weights()])
    model.save(copy / "model.keras")
    with pytest.raises(DataError, match="of another network"):
        edgecnn.export(copy, "tflite", out=tmp_path / "bundle")
    (copy / INTEGERS).unlink()
    with pytest.raises(DataError, match="missing"):
        edgecnn.export(copy, "tflite", out=tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_what_was_kept_is_read_back(trained: Checkpoint, tmp_path: Path) -> None:
    quantised, graph = integers_of(trained)
    stored.write(tmp_path / "file", quantised, "the hash")
    again = stored.read_file(tmp_path / "file", graph, "the hash")
    assert again.scales == quantised.scales
    assert again.float_operators == quantised.float_operators
    assert [(op.name, op.inputs) for op in again.graph] == [
        (op.name, op.inputs) for op in quantised.graph
    ]
    with pytest.raises(DataError, match="does not fit"):
        stored.read_file(
            tmp_path / "file", replace(graph, operators=graph.operators[:3]), "the hash"
        )


def test_other_integers_can_still_be_asked_for(trained: Checkpoint, tmp_path: Path) -> None:
    bundle = edgecnn.export(trained.path, "onnx", out=tmp_path / "bundle", symmetric=True)
    assert bundle.manifest["quantisation"]["recipe"]["symmetric"]


@pytest.mark.slow
def test_pictures_need_no_labels(lenet5_run: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for picture in CalibrationSet.load(lenet5_run / "calibration").pictures[:40]:
        shutil.copyfile(picture.path, bare / picture.path.name)
    model = Checkpoint.load(lenet5_run).load_model()
    model.save(tmp_path / "my.keras")
    arguments = ["--qat", tmp_path / "my.keras", "--data", bare, "--out", tmp_path / "run"]
    arguments += ["--labels", lenet5_run / "labels.txt", "--preprocessing", "0..1"]
    done = CliRunner().invoke(command, [*map(str, arguments), "--epochs", "1", "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["architecture"] == "my"
    assert said["qat"]["pictures"] + said["qat"]["judged_on"] == 32
    assert Checkpoint.load(tmp_path / "run").labels == Checkpoint.load(lenet5_run).labels


def test_refusals_leave_nothing(lenet5_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(UnknownName, match="setting of quantisation-aware training"):
        edgecnn.train_qat(lenet5_run, "digits", out=out, optimizer="sgd")
    with pytest.raises(DataError, match="Say what to train on"):
        edgecnn.train_qat("lenet5", out=out)
    done = CliRunner().invoke(command, ["lenet5", "--qat", str(lenet5_run)])
    assert isinstance(done.exception, EdgeCnnError)
    (tmp_path / "few").mkdir()
    for picture in CalibrationSet.load(lenet5_run / "calibration").pictures[:4]:
        shutil.copyfile(picture.path, tmp_path / "few" / picture.path.name)
    with pytest.raises(DataError, match="a hundred or more"):
        edgecnn.train_qat(lenet5_run, tmp_path / "few", out=out)
    assert not out.exists()


def test_divergence_is_that_of_the_probabilities() -> None:
    from edgecnn.training.distillation import divergence

    logits = np.random.default_rng(0).normal(0, 3, (5, 2, 4)).astype(np.float32)
    one = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    several = 1 / (1 + np.exp(-logits))
    lost = (one[:, 1] * np.log(one[:, 1] / one[:, 0])).sum(-1)
    bits = several[:, 1] * np.log(several[:, 1] / several[:, 0])
    bits += (1 - several[:, 1]) * np.log((1 - several[:, 1]) / (1 - several[:, 0]))
    for kind, given, expected in (
        ("logits of one", logits, lost),
        ("one", one, lost),
        ("logits of several", logits, bits.sum(-1)),
        ("several", several, bits.sum(-1)),
    ):
        found = np.asarray(divergence(kind)(None, given))  # type: ignore[arg-type]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
