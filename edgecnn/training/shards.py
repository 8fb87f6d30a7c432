"""Prepared pictures in sharded TFRecord files, for sets larger than memory."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.atomic import atomic_folder
from edgecnn.data import Split
from edgecnn.errors import DataError
from edgecnn.preprocessing import Preprocessing

if TYPE_CHECKING:
    import tensorflow as tf

Batches = Callable[[Any, int], "tf.data.Dataset"]
"""Called with a seed (two integers; None keeps the order) and a batch size."""

COMPLETE = "complete"
SHARD_BYTES = 128 * 2**20
AT_ONCE = 8
"""Shards that are read side by side when shuffled."""
SHUFFLE_PICTURES = 2048
"""Pictures that are shuffled among each other, and held in memory for it."""


def on_disk(
    split: Split, preprocessing: Preprocessing, copies: NDArray[np.int64], folder: Path
) -> Batches:
    """Batches read from the shards in `folder`, which are written first if they are not there.

    Raises `DataError` if the disk has too little room.
    """
    import tensorflow as tf

    if not (folder / COMPLETE).is_file():
        write_shards(split, preprocessing, copies, folder)
    files = sorted(str(path) for path in folder.glob("*.tfrecord"))
    features = {
        "picture": tf.io.FixedLenFeature([], tf.string),
        "target": tf.io.FixedLenFeature([], tf.int64),
    }

    def parse(records: Any) -> tuple[Any, Any]:
        batch = tf.io.parse_example(records, features)
        pictures = tf.io.decode_raw(batch["picture"], tf.uint8)
        return tf.reshape(pictures, (-1, *preprocessing.shape[1:])), batch["target"]

    def batches(seed: Any, size: int) -> "tf.data.Dataset":
        if seed is None:
            records = tf.data.TFRecordDataset(files)
        else:
            order = tf.random.experimental.stateless_shuffle(tf.constant(files), seed=seed)
            records = (
                tf.data.Dataset.from_tensor_slices(order)
                .interleave(
                    tf.data.TFRecordDataset,
                    cycle_length=AT_ONCE,
                    num_parallel_calls=tf.data.AUTOTUNE,
                    deterministic=True,
                )
                .batch(SHUFFLE_PICTURES)
                .flat_map(
                    lambda window: tf.data.Dataset.from_tensor_slices(
                        tf.random.experimental.stateless_shuffle(window, seed=seed)
                    )
                )
            )
        return records.batch(size).map(parse, num_parallel_calls=tf.data.AUTOTUNE)

    return batches


def write_shards(
    split: Split,
    preprocessing: Preprocessing,
    copies: NDArray[np.int64],
    folder: Path,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write each picture as often as `copies` says, dealt out over the shards in turn.

    The folder appears whole or not at all. Raises `DataError` if the disk has too little room.
    """
    import tensorflow as tf

    size = int(copies.sum()) * int(np.prod(preprocessing.shape))
    folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free
    if size * 1.05 > free:
        raise DataError(
            f"Preparing the pictures takes {size / 2**30:.1f} GiB in {folder.parent}, which has "
            f"{free / 2**30:.1f} GiB free: make room, or choose another --out."
        )
    count = max(1, -(-size // shard_bytes))
    with atomic_folder(folder, replaces=COMPLETE) as work:
        writers = [tf.io.TFRecordWriter(str(work / f"{i:05d}.tfrecord")) for i in range(count)]
        turn = index = 0
        for chunk in split.prepared_chunks(preprocessing):
            for picture in chunk:
                record = _record(tf, picture, int(split.targets[index]))
                for _ in range(copies[index]):
                    writers[turn % count].write(record)
                    turn += 1
                index += 1
        for writer in writers:
            writer.close()
        (work / COMPLETE).touch()


def _record(tf: Any, picture: NDArray[np.uint8], target: int) -> bytes:
    feature = {
        "picture": tf.train.Feature(bytes_list=tf.train.BytesList(value=[picture.tobytes()])),
        "target": tf.train.Feature(int64_list=tf.train.Int64List(value=[target])),
    }
    record: bytes = tf.train.Example(
        features=tf.train.Features(feature=feature)
    ).SerializeToString()
    return record
