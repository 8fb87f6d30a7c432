"""The epochs: one phase from scratch, two for a pretrained network."""

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecnn.errors import EdgeCnnError
from edgecnn.interrupt import Interrupt
from edgecnn.preprocessing import Preprocessing
from edgecnn.training.inputs import Inputs
from edgecnn.training.network import TrainingNetwork, training_graph
from edgecnn.training.optimisation import compile_graph
from edgecnn.training.settings import Settings
from edgecnn.training.state import Row, RunState, write_history
from edgecnn.training.strategy import Distribution, model_class

if TYPE_CHECKING:
    import keras

FINE_TUNING_RATE = 0.1
"""Fine-tuning takes this share of the learning rate."""


@dataclass(frozen=True)
class Phase:
    """Some epochs with the same layers learning."""

    name: str
    epochs: int
    peak_rate: float
    choose_layers: Callable[[TrainingNetwork], None]


def plan_phases(network: TrainingNetwork, settings: Settings) -> list[Phase]:
    """`scratch` alone, or `head` with the pretrained layers frozen and then `fine-tune`."""
    rate = settings.learning_rate
    if not network.pretrained:
        return [Phase("scratch", settings.epochs, rate, lambda _: None)]
    head = settings.head_epochs
    if head is None:
        head = math.ceil(settings.epochs / 3)
    if not network.new_layers:
        head = 0  # the classifier came with the weights
    phases = [
        Phase("head", head, rate, TrainingNetwork.freeze),
        Phase(
            "fine-tune",
            settings.epochs - head,
            rate * FINE_TUNING_RATE,
            lambda network: network.unfreeze(settings.unfreeze_from),
        ),
    ]
    return [phase for phase in phases if phase.epochs]


def run_phases(
    network: TrainingNetwork,
    preprocessing: Preprocessing,
    inputs: Inputs,
    settings: Settings,
    state: RunState,
    folder: Path,
    distribution: Distribution,
) -> None:
    """Train from where `state` stands to the end; `network` then has the best epoch's weights.

    `history.csv` and TensorBoard's logs go to `folder`.
    """
    import keras

    def make_graph() -> "keras.Model":
        # Made outside the strategy's scope: inside, Keras 3 would try to average a batch of
        # pictures over the workers before the first epoch.
        return training_graph(
            network.net, preprocessing, settings.augment, model_class(distribution)
        )

    phases = plan_phases(network, settings)
    for phase in phases:
        phase.choose_layers(network)  # so that a layer which is not there costs no epoch
    if not network.pretrained:
        network.shorten_norm_memory(inputs.steps)
    for index in range(state.phase, len(phases)):
        phase = phases[index]
        done = state.epochs_of_phase(phase.name)
        # The rate falls over a phase's own epochs, and a phase that ended early leaves a gap.
        first = sum(p.epochs for p in phases[:index]) + done
        if done < phase.epochs and not _ended_early(state, phase, settings):
            phase.choose_layers(network)
            graph = make_graph()
            if state.best and not done:
                graph.load_weights(state.weights_file(state.best))
            interrupt = Interrupt()
            callbacks: list[Any] = [_epoch_end(state, phase, settings, folder, interrupt)]
            if settings.tensorboard:
                callbacks.append(keras.callbacks.TensorBoard(folder / "tensorboard"))
            with interrupt, distribution.scope():
                compile_graph(
                    graph,
                    settings,
                    peak_rate=phase.peak_rate,
                    epochs=phase.epochs,
                    steps=inputs.steps,
                )
                if done:
                    graph.load_weights(state.weights_file(state.last))
                graph.fit(
                    inputs.epochs(first),
                    initial_epoch=len(state.history),
                    epochs=len(state.history) + phase.epochs - done,
                    steps_per_epoch=inputs.steps,
                    validation_data=inputs.val,
                    callbacks=callbacks,
                    shuffle=False,
                    verbose=1 if sys.stdout.isatty() else 2,
                )
        state.begin_phase(index + 1)
    graph = make_graph()
    graph.load_weights(state.weights_file(state.best))


def seed_random_layers(model: "keras.Model", seed: int, epoch: int) -> None:
    """Make augmentation and dropout of an epoch depend on the seed and its number alone.

    Keras does not save what its random layers have drawn so far, so a resumed run would draw
    the first epoch's numbers again.
    """
    states = [v for v in model.non_trainable_variables if v.path.endswith("seed_generator_state")]
    for index, state in enumerate(states):
        state.assign(np.random.SeedSequence((seed, epoch, index)).generate_state(2, np.uint32))


def _ended_early(state: RunState, phase: Phase, settings: Settings) -> bool:
    return 0 < settings.patience <= state.epochs_without_gain(phase.name)


def _epoch_end(
    state: RunState, phase: Phase, settings: Settings, folder: Path, interrupt: Interrupt
) -> "keras.callbacks.Callback":
    """Keeps the epoch in `state` and ends the phase when it gains nothing more."""
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
                "phase": phase.name,
                **{k: float(logs[k]) for k in ("loss", "accuracy", "val_loss", "val_accuracy")},
                "learning_rate": float(self.model.optimizer.learning_rate),
                "seconds": round(time.monotonic() - self.began, 2),
            }
            if not math.isfinite(row["loss"]):
                raise EdgeCnnError(
                    f"The loss is {row['loss']} in epoch {epoch + 1}: lower --learning-rate "
                    f"(now {settings.learning_rate:g}) or lengthen --warmup-epochs."
                )
            state.record(row, self.model)
            write_history(folder / "history.csv", state.history)
            if _ended_early(state, phase, settings):
                self.model.stop_training = True

    return EpochEnd()
