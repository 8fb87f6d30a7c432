"""What happens between two epochs, of any kind of training."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecnn.errors import EdgeCnnError
from edgecnn.interrupt import Interrupt
from edgecnn.training.settings import Settings
from edgecnn.training.state import Row, RunState, write_history

if TYPE_CHECKING:
    import keras


def epoch_end(
    state: RunState,
    phase: str,
    settings: Settings,
    folder: Path,
    interrupt: Interrupt,
    ended: Callable[[], bool],
) -> "keras.callbacks.Callback":
    """Keeps each epoch in `state`, and ends the training when `ended` says so.

    `history.csv` goes to `folder`.
    """
    import keras

    class EpochEnd(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
            self.began = time.monotonic()
            seed_random_layers(self.model, settings.seed, epoch)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
            interrupt.check()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            row: Row = {
                "epoch": epoch + 1,
                "phase": phase,
                **{k: float(logs[k]) for k in ("loss", "accuracy", "val_loss", "val_accuracy")},
                "learning_rate": float(self.model.optimizer.learning_rate),
                "seconds": round(time.monotonic() - self.began, 2),
            }
            losses = row["loss"], row["val_loss"]
            if not all(map(math.isfinite, losses)):
                raise EdgeCnnError(
                    f"The loss is {losses[0]}, of validation {losses[1]}, in epoch {epoch + 1}: "
                    f"lower --learning-rate (now {settings.learning_rate:g}) or lengthen "
                    "--warmup-epochs."
                )
            state.record(row, self.model)
            write_history(folder / "history.csv", state.history)
            if ended():
                self.model.stop_training = True

    return EpochEnd()


def seed_random_layers(model: "keras.Model", seed: int, epoch: int) -> None:
    """Make augmentation and dropout of an epoch depend on the seed and its number alone.

    Keras does not save what its random layers have drawn so far, so a resumed run would draw
    the first epoch's numbers again.
    """
    states = [v for v in model.non_trainable_variables if v.path.endswith("seed_generator_state")]
    for index, state in enumerate(states):
        state.assign(np.random.SeedSequence((seed, epoch, index)).generate_state(2, np.uint32))
