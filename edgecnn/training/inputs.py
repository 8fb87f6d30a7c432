"""Training pictures as a tf.data pipeline: prepared once, shuffled anew each epoch.

What is kept is the prepared uint8 picture, in memory or in sharded TFRecords. The order of an
epoch follows from the seed and the epoch's number alone, so that a resumed run sees the very
batches it would have seen.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from numpy.typing import NDArray

from edgecnn.data import Dataset, Split
from edgecnn.preprocessing import Preprocessing
from edgecnn.training import shards
from edgecnn.training.settings import Settings

if TYPE_CHECKING:
    import tensorflow as tf

VAL_BATCH = 128
MEMORY_SHARE = 0.4
"""Prepared pictures may take this share of the memory that is free."""


@dataclass(frozen=True)
class Inputs:
    """Batches of uint8 pictures `(batch, height, width, channels)` and one-hot classes."""

    steps: int
    """Batches of an epoch."""
    epochs: Callable[[int], "tf.data.Dataset"]
    """The batches of all epochs from this one on, one epoch after the other."""
    val: "tf.data.Dataset"
    where: str
    """`memory` or `disk`."""


def open_inputs(
    dataset: Dataset, preprocessing: Preprocessing, settings: Settings, folder: Path
) -> Inputs:
    """Prepare the pictures of train and val; TFRecords go to `folder`."""
    import tensorflow as tf

    copies = copies_for_balance(dataset.train, len(dataset.labels), settings.balance)
    count = int(copies.sum())
    batch = min(settings.batch_size, count)
    steps = count // batch
    where = settings.cache
    if where == "auto":
        size = (len(dataset.train) + len(dataset.val)) * int(np.prod(preprocessing.shape))
        fits = size < MEMORY_SHARE * psutil.virtual_memory().available
        where = "memory" if fits else "disk"

    def open_split(split: Split, copies: NDArray[np.int64], name: str) -> shards.Batches:
        if where == "memory":
            return _in_memory(split, preprocessing, copies)
        return shards.on_disk(split, preprocessing, copies, folder / name)

    train = open_split(dataset.train, copies, "train")
    val = open_split(dataset.val, np.ones(len(dataset.val), np.int64), "val")

    def one_hot(pictures: Any, targets: Any) -> tuple[Any, Any]:
        return pictures, tf.one_hot(targets, len(dataset.labels))

    def epochs(first: int) -> "tf.data.Dataset":
        # Whole batches only: batch normalisation should not see a remainder of one picture.
        return (
            tf.data.Dataset.range(first, settings.epochs)
            .flat_map(lambda epoch: train([settings.seed, epoch], batch).take(steps))
            .map(one_hot, num_parallel_calls=tf.data.AUTOTUNE)
            .prefetch(tf.data.AUTOTUNE)
        )

    # Keras warns of an end that it was not told of, and a file of records does not tell.
    known = tf.data.experimental.assert_cardinality(-(-len(dataset.val) // VAL_BATCH))
    return Inputs(steps, epochs, val(None, VAL_BATCH).map(one_hot).apply(known).prefetch(2), where)


def copies_for_balance(train: Split, classes: int, balance: bool) -> NDArray[np.int64]:
    """How often an epoch shows each picture: once, or so that all classes are shown alike."""
    copies = np.ones(len(train), np.int64)
    if balance:
        counts = np.bincount(train.targets, minlength=classes)
        for target, count in enumerate(counts):
            members = np.flatnonzero(train.targets == target)
            copies[members] = counts.max() // count
            copies[members[: counts.max() % count]] += 1
    return copies


def _in_memory(
    split: Split, preprocessing: Preprocessing, copies: NDArray[np.int64]
) -> shards.Batches:
    """Batches gathered from one array."""
    import tensorflow as tf

    order = np.repeat(np.arange(len(split)), copies)
    with tf.device("CPU"):
        pictures = tf.constant(split.prepared(preprocessing))
        targets = tf.constant(split.targets)

    def batches(seed: Any, size: int) -> "tf.data.Dataset":
        indices = order
        if seed is not None:
            indices = tf.random.experimental.stateless_shuffle(order, seed=seed)
        return (
            tf.data.Dataset.from_tensor_slices(indices)
            .batch(size)
            .map(
                lambda chosen: (tf.gather(pictures, chosen), tf.gather(targets, chosen)),
                num_parallel_calls=tf.data.AUTOTUNE,
            )
        )

    return batches
