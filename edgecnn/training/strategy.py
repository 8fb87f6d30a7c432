"""More than one GPU, or more than one machine: TensorFlow's own distribution.

`mirrored` uses every GPU of this machine. `multiworker` uses several machines: the same command
is started on each, with the environment variable TF_CONFIG saying who they all are, and `--out`
on a file system that all see. A batch is divided among the replicas, so that the result is that
of one replica with the same batch size.
"""

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from edgecnn.errors import EdgeCnnError
from edgecnn.training.settings import Strategy

TF_CONFIG = "TF_CONFIG"
EXAMPLE = (
    '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
)


@dataclass(frozen=True)
class Distribution:
    """Where variables are made and batches computed."""

    scope: Callable[[], AbstractContextManager[Any]] = nullcontext
    replicas: int = 1
    worker: int = 0
    """Index of this process; 0 is the chief, which writes the checkpoint."""
    several_workers: bool = False


def open_distribution(strategy: Strategy) -> Distribution:
    """Join the other replicas; for `multiworker` this waits until all workers are there.

    Has to come before anything else that TensorFlow does. Raises `EdgeCnnError` for a TF_CONFIG
    that is missing or not readable.
    """
    if strategy == "none":
        return Distribution()
    import tensorflow as tf

    if strategy == "mirrored":
        mirrored = tf.distribute.MirroredStrategy()
        return Distribution(mirrored.scope, mirrored.num_replicas_in_sync)
    worker, workers = read_tf_config()
    several = tf.distribute.MultiWorkerMirroredStrategy()
    return Distribution(several.scope, several.num_replicas_in_sync, worker, workers > 1)


def read_tf_config() -> tuple[int, int]:
    """Index of this worker and number of all."""
    try:
        config = json.loads(os.environ[TF_CONFIG])
        workers, task = config["cluster"]["worker"], config["task"]
        index = int(task["index"])
    except (KeyError, TypeError, ValueError):
        raise EdgeCnnError(
            f"--strategy multiworker needs {TF_CONFIG} in the environment of each worker, such "
            f"as {EXAMPLE}."
        ) from None
    if task.get("type") != "worker" or not 0 <= index < len(workers) or len(config["cluster"]) > 1:
        raise EdgeCnnError(
            f"{TF_CONFIG} must list workers only, and name this one by its index among them: "
            f"{EXAMPLE}."
        )
    return index, len(workers)


def model_class(distribution: Distribution) -> Any:
    """The class of `keras.Model` that trains under it."""
    import keras

    if not distribution.several_workers:
        return keras.Model

    class SeveralWorkers(keras.Model):  # type: ignore[misc]
        """Gives each figure an axis, which Keras 3 averages over the workers away.

        Without it fit() stops: keras-team/keras issue 20585.
        """

        def train_step(self, data: Any) -> dict[str, Any]:
            return {name: value[None] for name, value in super().train_step(data).items()}

        def test_step(self, data: Any) -> dict[str, Any]:
            return {name: value[None] for name, value in super().test_step(data).items()}

    return SeveralWorkers
