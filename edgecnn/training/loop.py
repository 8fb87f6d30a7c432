"""The epochs: one phase from scratch, two for a pretrained network."""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecnn.interrupt import Interrupt
from edgecnn.preprocessing import Preprocessing
from edgecnn.training.epoch_end import epoch_end
from edgecnn.training.inputs import Inputs
from edgecnn.training.network import TrainingNetwork, training_graph, without_start
from edgecnn.training.optimisation import compile_graph
from edgecnn.training.settings import Settings
from edgecnn.training.state import RunState
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
    unseen: list[Any] = []
    if not network.pretrained:
        unseen = network.shorten_norm_memory(inputs.steps)
    if state.history:
        unseen.clear()  # they come with the weights

    def batch_end(batch: int, logs: Any) -> None:  # noqa: ARG001
        while unseen and batch + 1 == inputs.steps:
            without_start(unseen.pop(), inputs.steps)

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
            callbacks: list[Any] = [
                # Before the epoch's validation.
                keras.callbacks.LambdaCallback(on_train_batch_end=batch_end),
                epoch_end(
                    state,
                    phase.name,
                    settings,
                    folder,
                    interrupt,
                    partial(_ended_early, state, phase, settings),
                ),
            ]
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


def _ended_early(state: RunState, phase: Phase, settings: Settings) -> bool:
    return 0 < settings.patience <= state.epochs_without_gain(phase.name)
