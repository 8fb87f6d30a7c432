"""Learning from another network's answers rather than from labels.

Hinton et al., Distilling the Knowledge in a Neural Network, 2015; that it suits quantised networks
best, where the float network is the teacher, is what Mishra and Marr, Apprentice, 2018, found.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from edgecnn.training.augmentation import augmentation_layers
from edgecnn.training.settings import Augment

if TYPE_CHECKING:
    import keras

Answers = Literal["logits of one", "logits of several", "one", "several"]
"""What a network's values are: before a softmax, before a sigmoid, or probabilities already."""


def distilling(
    student: Any, teacher: Any, shape: tuple[int, ...], augment: Augment
) -> "keras.Model":
    """uint8 pictures of a shape to what both say of them, (batch, 2, values): student, teacher.

    Augmented pictures are bytes too, as those of a camera are.
    """
    import keras

    picture = keras.Input(shape, dtype="uint8", name="picture")
    x = keras.ops.cast(picture, "float32")
    for layer in augmentation_layers(augment):
        x = layer(x)
    x = keras.ops.clip(keras.ops.round(x), 0.0, 255.0)
    answers = keras.ops.stack([student(x), keras.ops.stop_gradient(teacher(x))], axis=1)
    return keras.Model(picture, answers, name="distilling")


def divergence(kind: Answers) -> Callable[[Any, Any], Any]:
    """A loss: the information lost of the teacher's answers (Kullback-Leibler), in nats.

    Of independent labels the sum over all. Labels of the pictures play no part.
    """
    from keras import ops

    def of_one(student: Any, teacher: Any) -> Any:
        """Of logarithms of probabilities."""
        return ops.sum(ops.exp(teacher) * (teacher - student), axis=-1)

    def logarithm(probability: Any) -> Any:
        return ops.log(ops.maximum(probability, 1e-7))

    def loss(_: Any, answers: Any) -> Any:
        student, teacher = answers[:, 0], answers[:, 1]
        match kind:
            case "logits of one":
                return of_one(ops.log_softmax(student), ops.log_softmax(teacher))
            case "one":
                return of_one(logarithm(student), logarithm(teacher))
            case "logits of several":
                both = [ops.log_sigmoid(x) for x in (student, teacher)]
                neither = [ops.log_sigmoid(-x) for x in (student, teacher)]
            case "several":
                both = [logarithm(x) for x in (student, teacher)]
                neither = [logarithm(1 - x) for x in (student, teacher)]
        return of_one(*both) + of_one(*neither)

    return loss


def agreement(kind: Answers) -> "keras.metrics.Metric":
    """The share of answers that are the teacher's: the most probable class, or each label."""
    import keras
    from keras import ops

    threshold = 0.0 if kind == "logits of several" else 0.5

    def agreeing(_: Any, answers: Any) -> Any:
        if kind in ("logits of one", "one"):
            return ops.equal(ops.argmax(answers[:, 0], -1), ops.argmax(answers[:, 1], -1))
        over = answers > threshold
        return ops.mean(ops.cast(ops.equal(over[:, 0], over[:, 1]), "float32"), axis=-1)

    return keras.metrics.MeanMetricWrapper(agreeing, name="accuracy")
