"""The pieces of a run, each by itself."""

import json
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from edgecnn import zoo
from edgecnn.checkpoint import Checkpoint
from edgecnn.data import Dataset, open_source
from edgecnn.errors import EdgeCnnError, UnknownName, WeightsError
from edgecnn.preprocessing import Preprocessing
from edgecnn.training import Settings
from edgecnn.training.augmentation import augmentation_layers
from edgecnn.training.inputs import copies_for_balance, open_inputs
from edgecnn.training.loop import plan_phases
from edgecnn.training.network import TrainingNetwork, build_network, training_graph, without_start
from edgecnn.training.optimisation import cosine_rate
from edgecnn.training.precision import computing_in
from edgecnn.training.scores import Scores
from edgecnn.training.settings import Augment
from edgecnn.training.shards import on_disk, write_shards
from edgecnn.training.state import Row, RunState
from edgecnn.training.strategy import read_tf_config

GREY = Preprocessing(32, 32, 1, mean=(100.0,), std=(50.0,))
COLOUR = Preprocessing(64, 64, 3, mean=(120.0, 110.0, 100.0), std=(60.0, 50.0, 40.0))
LABELS = tuple("0123456789")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return open_source("digits")


def seen(dataset: tf.data.Dataset) -> list[bytes]:
    """Pictures of a tf.data set, by hash-able bytes, in order."""
    return [p.tobytes() for batch, _ in dataset.as_numpy_iterator() for p in batch]


# --- inputs


def test_every_picture_comes_once_an_epoch_in_another_order(
    digits: Dataset, tmp_path: Path
) -> None:
    settings = Settings(epochs=2, batch_size=71)
    inputs = open_inputs(digits, GREY, settings, tmp_path)
    assert (inputs.steps, inputs.where) == (19, "memory")
    pictures = seen(inputs.epochs(0))
    count = inputs.steps * 71
    first, second = pictures[:count], pictures[count:]
    assert len(second) == count
    assert first != second
    assert sorted(first) == sorted(p.tobytes() for p in digits.train.prepared(GREY))


def test_a_resumed_run_sees_the_batches_it_would_have_seen(digits: Dataset, tmp_path: Path) -> None:
    settings = Settings(epochs=3, batch_size=64, seed=5)
    whole = seen(open_inputs(digits, GREY, settings, tmp_path).epochs(0))
    inputs = open_inputs(digits, GREY, settings, tmp_path)
    assert seen(inputs.epochs(2)) == whole[2 * inputs.steps * 64 :]


def test_disk_gives_what_memory_gives(digits: Dataset, tmp_path: Path) -> None:
    in_memory = open_inputs(digits, GREY, Settings(epochs=1, cache="memory"), tmp_path)
    from_disk = open_inputs(digits, GREY, Settings(epochs=1, cache="disk"), tmp_path)
    assert list((tmp_path / "train").glob("*.tfrecord"))
    assert seen(from_disk.val) == seen(in_memory.val)
    assert len(set(seen(from_disk.epochs(0))) - set(seen(in_memory.val))) > 1300
    pictures, classes = next(from_disk.epochs(0).as_numpy_iterator())
    assert pictures.shape == (32, 32, 32, 1)
    assert classes.shape == (32, 10)
    known = {
        p.tobytes(): t
        for p, t in zip(digits.train.prepared(GREY), digits.train.targets, strict=True)
    }
    assert [known[p.tobytes()] for p in pictures] == classes.argmax(axis=1).tolist()


def test_shards_are_shuffled_by_epoch_and_whole(digits: Dataset, tmp_path: Path) -> None:
    part = digits.train.take(range(100))
    copies = np.array([2] * 10 + [1] * 90)
    write_shards(part, GREY, copies, tmp_path / "s", shard_bytes=20 * 1024)
    assert len(list((tmp_path / "s").glob("*.tfrecord"))) == 6
    batches = on_disk(part, GREY, copies, tmp_path / "s")
    orders = [seen(batches([0, epoch], 16)) for epoch in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]
    expected = np.repeat(part.prepared(GREY), copies, axis=0)
    assert sorted(orders[0]) == sorted(p.tobytes() for p in expected)


def test_balance_shows_all_classes_alike(digits: Dataset) -> None:
    train = digits.train
    few = [i for i in range(len(train)) if train.targets[i] != 3 or i % 5 == 0]
    part = train.take(few)
    copies = copies_for_balance(part, 10, balance=True)
    shown = np.bincount(part.targets, weights=copies)
    assert shown.tolist() == [shown[0]] * 10
    assert copies_for_balance(part, 10, balance=False).tolist() == [1] * len(part)


# --- network


def test_training_graph_normalises_as_preprocessing_does() -> None:
    net = zoo.build("resnet34", COLOUR.shape[1:], 4, classifier_activation=None)
    graph = training_graph(net, COLOUR, "standard", keras.Model)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    expected = net(COLOUR.normalise(pictures), training=False)
    np.testing.assert_allclose(graph(pictures, training=False), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("preset", ["light", "standard"])
def test_augmentation_changes_pictures_but_little(preset: Augment) -> None:
    rng = np.random.default_rng(0)
    small = rng.integers(60, 200, (8, 8, 3), np.uint8)
    picture = cv2.resize(small, (96, 96), interpolation=cv2.INTER_CUBIC)[None].repeat(16, 0)
    x = tf.constant(picture)
    for layer in augmentation_layers(preset):
        x = layer(x, training=True)
    changed = x.numpy()
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert np.abs(changed - picture).mean(axis=(1, 2, 3)).min() > 1
    # Still a picture of the same things in another light: brightness and contrast stay near.
    axes = (1, 2, 3)
    assert np.abs(changed.mean(axes) - picture.mean(axes)).max() < 60
    ratio = changed.std(axes) / picture.std(axes)
    assert 0.6 < ratio.min() <= ratio.max() < 1.4
    assert np.abs(changed[0] - changed[1]).mean() > 1
    assert augmentation_layers("none") == []


def test_light_augmentation_never_mirrors() -> None:
    names = [type(layer).__name__ for layer in augmentation_layers("light")]
    assert "RandomFlip" not in names


def test_network_trained_in_half_precision_is_saved_in_full() -> None:
    with computing_in("mixed"):
        network = build_network("lenet5", GREY, LABELS, "random")
        logits = network.net(np.zeros(GREY.shape, np.float32))
        model = network.finished()
    assert logits.dtype == "bfloat16"
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    x = GREY.normalise(np.random.default_rng(0).integers(0, 256, (4, 32, 32, 1), np.uint8))
    probabilities = model(x).numpy()
    assert probabilities.dtype == np.float32
    expected = tf.nn.softmax(tf.cast(network.net(x), tf.float32)).numpy()
    np.testing.assert_allclose(probabilities, expected, atol=0.02)


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A run of ResNet-34 with three classes."""
    folder = tmp_path_factory.mktemp("run")
    zoo.build("resnet34", COLOUR.shape[1:], 3).save(folder / "model.keras")
    run = Checkpoint(folder, "resnet34", COLOUR, ("x", "y", "z"), "2026-01-01T00:00:00+00:00", {})
    run.write()
    return run


def test_weights_of_an_earlier_run_get_a_new_classifier(earlier: Checkpoint) -> None:
    model = earlier.load_model()
    network = build_network("resnet34", COLOUR, ("a", "b", "c"), str(earlier.path))
    assert network.new_layers == {"fc"}
    for name in ("conv1", "layer4.2.conv2", "bn1"):
        for mine, theirs in zip(
            network.net.get_layer(name).get_weights(),
            model.get_layer(name).get_weights(),
            strict=True,
        ):
            assert np.array_equal(mine, theirs)
    kept = build_network("resnet34", COLOUR, earlier.labels, str(earlier.path))
    assert kept.new_layers == frozenset()
    assert [p.name for p in plan_phases(kept, Settings(weights="x"))] == ["fine-tune"]


def test_weights_of_another_architecture_are_refused(earlier: Checkpoint) -> None:
    with pytest.raises(WeightsError, match="a resnet34, not a lenet5"):
        build_network("lenet5", GREY, LABELS, str(earlier.path))


@pytest.fixture(scope="module")
def pretrained(earlier: Checkpoint) -> TrainingNetwork:
    return build_network("resnet34", COLOUR, ("a", "b", "c", "d"), str(earlier.path))


def trainable(network: TrainingNetwork) -> set[str]:
    return {x.name for x in network.net.layers if x.trainable_weights}


def test_frozen_network_learns_in_its_head_alone(pretrained: TrainingNetwork) -> None:
    pretrained.freeze()
    assert trainable(pretrained) == {"fc"}


def test_unfrozen_from_a_block_on_without_its_norms(pretrained: TrainingNetwork) -> None:
    pretrained.unfreeze("layer4.1")
    assert trainable(pretrained) == {
        *("layer4.1.conv1", "layer4.1.conv2", "layer4.2.conv1", "layer4.2.conv2", "fc")
    }
    pretrained.unfreeze(None)
    assert "conv1" in trainable(pretrained)
    assert not any("bn" in name for name in trainable(pretrained))


def test_unfreezing_from_an_unknown_layer_names_the_nearest(pretrained: TrainingNetwork) -> None:
    with pytest.raises(UnknownName, match=r"did you mean 'layer4\.1"):
        pretrained.unfreeze("layer4.1.con3")


def test_norm_statistics_forget_within_half_an_epoch_of_few_batches(
    pretrained: TrainingNetwork,
) -> None:
    bn = pretrained.net.get_layer("bn1")
    pretrained.shorten_norm_memory(1000)
    assert bn.momentum == 0.99
    pretrained.shorten_norm_memory(20)
    assert bn.momentum == pytest.approx(0.9)
    pretrained.shorten_norm_memory(1)
    assert bn.momentum == 0.5


def test_norm_statistics_of_faint_features_are_true_after_one_epoch() -> None:
    """A start that is a thousand times too large would be forgotten too late: so there is none."""
    rng = np.random.default_rng(0)
    norm = keras.layers.BatchNormalization()
    net = keras.Sequential([keras.Input((4, 4, 2)), norm])
    network = TrainingNetwork("any", net, "same", frozenset())
    unseen = network.shorten_norm_memory(20)
    for _ in range(20):
        net(rng.normal(0.03, 0.01, (8, 4, 4, 2)), training=True)
    for layer in unseen:
        without_start(layer, 20)
    np.testing.assert_allclose(norm.moving_mean, 0.03, rtol=0.05)
    np.testing.assert_allclose(norm.moving_variance, 1e-4, rtol=0.2)
    assert not network.shorten_norm_memory(20)  # what pictures said stays


# --- optimisation, settings, state, scores


def test_rate_rises_then_falls_to_nothing() -> None:
    schedule = cosine_rate(0.1, Settings(warmup_epochs=2), epochs=10, steps=5)
    rates = [float(schedule(step)) for step in range(51)]
    assert rates[0] == 0
    assert int(np.argmax(rates)) == 10
    assert rates[10] == pytest.approx(0.1)
    assert np.all(np.diff(rates[10:]) <= 0)
    assert rates[50] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"learning_rate": -1}, "learning_rate must be at least 0"),
        ({"label_smoothing": 0.9}, "0 to 0.5"),
        ({"augment": "heavy"}, "Unknown augment 'heavy'"),
        ({"optimizer": "adam"}, "did you mean 'nadam'"),
        ({"balance": True, "augment": "none"}, "--augment light"),
        ({"head_epochs": 3}, "--weights imagenet"),
        ({"weights": "imagenet", "epochs": 4, "head_epochs": 5}, "0 to 4"),
    ],
)
def test_settings_out_of_range(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(EdgeCnnError, match=message):
        Settings(**wrong)


def test_settings_survive_json() -> None:
    settings = Settings(input_shape=(28, 28, 1), balance=True, learning_rate=3e-4)
    assert Settings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


def row(epoch: int, accuracy: float, loss: float = 1.0, phase: str = "scratch") -> Row:
    others = dict.fromkeys(("loss", "accuracy", "learning_rate", "seconds"), 1.0)
    return others | {
        **{"epoch": epoch, "phase": phase},
        **{"val_accuracy": accuracy, "val_loss": float(loss)},
    }


def test_state_keeps_the_last_and_the_best_epoch_only(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    state = RunState.load(tmp_path / "state")
    for epoch, accuracy in enumerate((0.5, 0.7, 0.6, 0.7), 1):
        state.record(row(epoch, accuracy, loss=1 + epoch), model)
    assert state.best_epoch == 2
    assert state.epochs_without_gain("scratch") == 2
    files = sorted(p.name for p in (tmp_path / "state").glob("*.h5"))
    assert files == ["epoch-0002.weights.h5", "epoch-0004.weights.h5"]
    assert RunState.load(tmp_path / "state") == state


def test_equal_accuracy_with_less_loss_is_better(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    state = RunState.load(tmp_path)
    state.record(row(1, 0.7, loss=2.0), model)
    state.record(row(2, 0.7, loss=1.0), model)
    assert state.best_epoch == 2


def test_scores() -> None:
    scores = Scores(
        np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.6, 0.4, 0], [0.99, 0.01, 0]], np.float32),
        np.array([0, 1, 1, 1]),
    )
    assert scores.top1 == 0.5
    assert scores.top5 == 1.0
    assert scores.confusion.tolist() == [[1, 0, 0], [2, 1, 0], [0, 0, 0]]
    assert scores.worst_mistakes.tolist() == [3, 2]
    assert scores.to_json(("a", "b", "c"))["per_class"] == {"a": 1.0, "b": 0.3333, "c": None}


@pytest.mark.parametrize(
    "config",
    [
        None,
        "not json",
        "{}",
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}',
    ],
)
def test_multiworker_needs_a_readable_tf_config(
    monkeypatch: pytest.MonkeyPatch, config: str | None
) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(EdgeCnnError, match="TF_CONFIG"):
        read_tf_config()
