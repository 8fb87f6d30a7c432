"""The network that is trained, what is put around it for training, and what is saved of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from edgecnn import zoo
from edgecnn.checkpoint import Checkpoint
from edgecnn.errors import UnknownName, WeightsError
from edgecnn.preprocessing import Preprocessing
from edgecnn.training.augmentation import augmentation_layers
from edgecnn.training.settings import RANDOM, Augment

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class TrainingNetwork:
    """A functional network that ends in its logits, and which layers are new in it."""

    architecture: str
    net: "keras.Model"
    padding: zoo.Padding
    new_layers: frozenset[str]
    """Layers with no weights from elsewhere; all of them in training from scratch."""

    @property
    def pretrained(self) -> bool:
        """Whether any of the weights come from elsewhere."""
        return any(layer.name not in self.new_layers for layer in self.net.layers if layer.weights)

    def all_new(self) -> Self:
        """The same, to be trained as from scratch, but not from random weights."""
        return replace(self, new_layers=frozenset(layer.name for layer in self.net.layers))

    def finished(self) -> "keras.Model":
        """The network to save: in float32, ending in probabilities, with the weights of now."""
        import keras

        policy = keras.mixed_precision.dtype_policy()
        keras.mixed_precision.set_dtype_policy("float32")
        try:
            model = zoo.build(
                self.architecture,
                self.net.input_shape[1:],
                self.net.output_shape[-1],
                padding=self.padding,
            )
        finally:
            keras.mixed_precision.set_dtype_policy(policy)
        model.set_weights(self.net.get_weights())
        return model

    def shorten_norm_memory(self, steps: int) -> "list[keras.layers.BatchNormalization]":
        """Let BatchNorm's running statistics forget within half an epoch of `steps` batches.

        At Keras's momentum of 0.99 they need hundreds of batches to leave their start; on a few
        hundred pictures validation would see a network that is no better than chance. Returns the
        layers that have seen no picture yet: their statistics start from nothing, and
        `without_start` has to follow the first epoch.
        """
        from keras import layers

        unseen = []
        for layer in self.net.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.momentum = min(layer.momentum, max(0.5, 1 - 2 / steps))
                variance = np.asarray(layer.moving_variance)
                if (variance == 1).all():
                    layer.moving_variance.assign(np.zeros_like(variance))
                    unseen.append(layer)
        return unseen

    def freeze(self) -> None:
        """Let only the new layers learn."""
        for layer in self.net.layers:
            layer.trainable = layer.name in self.new_layers

    def unfreeze(self, start: str | None) -> None:
        """Let the layers from `start` on learn too, but not BatchNorm's.

        BatchNorm of a pretrained network keeps the statistics of many pictures; a few small
        batches would spoil them. `start` is a layer's name or what a block's names begin with.
        """
        from keras import layers

        names = [layer.name for layer in self.net.layers]
        first = 0
        if start is not None:
            first = next((i for i, name in enumerate(names) if name.startswith(start)), -1)
            if first < 0:
                raise UnknownName("layer", start, [x.name for x in self.net.layers if x.weights])
        for index, layer in enumerate(self.net.layers):
            frozen_norm = isinstance(layer, layers.BatchNormalization)
            layer.trainable = layer.name in self.new_layers or (index >= first and not frozen_norm)


def without_start(norm: "keras.layers.BatchNormalization", steps: int) -> None:
    """Take the start of 0 out of running statistics after `steps` batches, as Adam does.

    Of a start at 1 three epochs leave 0.2%: more than the whole variance behind a depthwise
    convolution, and one layer on top of the other that is a network which answers by chance.
    """
    seen = 1 - norm.momentum**steps
    for running in (norm.moving_mean, norm.moving_variance):
        running.assign(running / seen)


def build_network(
    architecture: str, preprocessing: Preprocessing, labels: tuple[str, ...], weights: str
) -> TrainingNetwork:
    """The network with random weights, or with those of `weights` and a new classifier.

    Of a run's own classifier the rows of labels with the same name are kept. Raises `WeightsError`
    where the weights do not fit.
    """
    shape = preprocessing.shape[1:]
    if weights == RANDOM:
        net = zoo.build(architecture, shape, len(labels), classifier_activation=None)
        return TrainingNetwork(architecture, net, "same", frozenset(x.name for x in net.layers))
    from edgecnn.weights import padding_of

    entry = zoo.get(architecture)
    if Path(weights).is_dir() or Path(weights).suffix == ".keras":
        run = Checkpoint.load(Path(weights))
        if run.architecture != architecture:
            raise WeightsError(f"{weights} holds a {run.architecture}, not a {architecture}.")
        donor, known = run.load_model(), run.labels
    else:
        donor = zoo.build(architecture, shape, weights=weights, include_top=False)
        known = ()
    padding = padding_of(donor)
    net = zoo.build(architecture, shape, len(labels), padding=padding, classifier_activation=None)
    shared = set(known) & set(labels)
    new = _copy_weights(donor, net, lambda name: bool(shared) or not entry.in_top(name))
    if shared and known != labels:
        new |= _copy_rows(donor, net, [(labels.index(x), known.index(x)) for x in shared])
    if not any(layer.weights and layer.name not in new for layer in net.layers):
        raise WeightsError(f"Nothing of {weights} fits {architecture} with input {shape}.")
    return TrainingNetwork(architecture, net, padding, new)


def _copy_weights(
    donor: "keras.Model", net: "keras.Model", wanted: Callable[[str], bool]
) -> frozenset[str]:
    """Copy what has the same name and shapes; the names of the layers left as they were."""
    given = {layer.name: layer.get_weights() for layer in donor.layers if wanted(layer.name)}
    left = set()
    for layer in net.layers:
        mine = [np.shape(w) for w in layer.get_weights()]
        theirs = given.get(layer.name, [])
        if mine and mine == [np.shape(w) for w in theirs]:
            layer.set_weights(theirs)
        elif mine:
            left.add(layer.name)
    return frozenset(left)


def _copy_rows(
    donor: "keras.Model", net: "keras.Model", rows: Sequence[tuple[int, int]]
) -> frozenset[str]:
    """Copy what the classifier knows of some classes, by their places here and there; its name."""
    ours, theirs = ([x for x in model.layers if x.weights][-1] for model in (net, donor))
    here, there = map(list, zip(*rows, strict=True))
    taken = []
    for mine, given in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        mine[..., here] = given[..., there]
        taken.append(mine)
    ours.set_weights(taken)
    return frozenset([ours.name])


def training_graph(
    net: "keras.Model", preprocessing: Preprocessing, augment: Augment, model: Any
) -> "keras.Model":
    """uint8 pictures `(batch, height, width, channels)` to float32 logits, as a `model`.

    uint8 picture -> [augment, in training only] -> (pixel - mean) / std -> net -> logits
    """
    import keras
    from keras import layers

    def constant(values: tuple[float, ...]) -> Any:
        return values[0] if len(values) == 1 else np.asarray(values, np.float32)

    variance = tuple(std**2 for std in preprocessing.std)
    picture = keras.Input(preprocessing.shape[1:], dtype="uint8", name="picture")
    x = picture
    for step in augmentation_layers(augment):
        x = step(x)
    x = layers.Normalization(
        axis=None if len(variance) == 1 else -1,
        mean=constant(preprocessing.mean),
        variance=constant(variance),
        dtype="float32",
        name="normalise",
    )(x)
    logits = layers.Activation("linear", dtype="float32", name="logits")(net(x))
    return model(picture, logits, name=f"{net.name}_training")
