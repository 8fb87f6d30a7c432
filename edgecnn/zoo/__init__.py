"""The architectures of the source text, a file per family.

Importing this package imports no Keras; building a network does.
"""

from typing import TYPE_CHECKING, Any, Literal

from edgecnn.errors import EdgeCnnError
from edgecnn.zoo import families  # noqa: F401 (registers the networks)
from edgecnn.zoo.naming import PADDINGS, Naming, Padding
from edgecnn.zoo.registry import Architecture, Figures, Pretrained, architecture, get, names

if TYPE_CHECKING:
    import keras

    from edgecnn.bundle import Weights

Activation = Literal["softmax"] | None


def build(
    name: str,
    input_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
    *,
    weights: str | None = None,
    include_top: bool = True,
    padding: Padding | None = None,
    classifier_activation: Activation = "softmax",
    **options: Any,
) -> "keras.Model":
    """Build a network of the zoo.

    `input_shape` is `(height, width, channels)`; it and `classes` default to what the network
    was published with. `weights` is None (random), `"imagenet"` or a file.
    `padding` is `same` (TensorFlow's rule) or `symmetric` (torch's); None takes the rule that
    the weights were trained with, `same` for random ones. `classifier_activation` None ends the
    network in its logits. `options` are those that one builder alone has, such as GoogLeNet's
    `auxiliary_heads`.

    Raises `UnknownName` for a name that is not in the zoo, `EdgeCnnError` for an input the
    network cannot take, and `WeightsError` for weights that do not fit.
    """
    model, _ = build_with_weights(
        name,
        input_shape,
        classes,
        weights=weights,
        include_top=include_top,
        padding=padding,
        classifier_activation=classifier_activation,
        **options,
    )
    return model


def build_with_weights(
    name: str,
    input_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
    *,
    weights: str | None = None,
    include_top: bool = True,
    padding: Padding | None = None,
    classifier_activation: Activation = "softmax",
    **options: Any,
) -> "tuple[keras.Model, Weights | None]":
    """As `build`, with where the weights came from; None for random ones."""
    entry = get(name)
    shape = tuple(input_shape or entry.input_shape)
    side = entry.minimum_side
    if len(shape) != 3 or min(shape[:2]) < side or shape[2] not in (1, 3):
        raise EdgeCnnError(
            f"{name} takes pictures (height, width, channels) of at least {side}×{side} with 1 or "
            f"3 channels, not {'×'.join(map(str, shape))}."
        )
    if classes is not None and classes < 1:
        raise EdgeCnnError(f"A classifier has at least one class, not {classes}.")
    if padding not in (None, *PADDINGS):
        raise EdgeCnnError(f"Unknown padding '{padding}': known: {', '.join(PADDINGS)}.")
    checkpoint = None
    if weights is not None:
        from edgecnn.weights import find

        checkpoint = find(entry, weights)
        padding = padding or checkpoint.padding
    model = entry.builder(
        shape,
        entry.classes if classes is None else classes,
        include_top=include_top,
        padding=padding or "same",
        classifier_activation=classifier_activation,
        **options,
    )
    return model, checkpoint.load_into(model) if checkpoint else None


__all__ = [
    "Architecture",
    "Figures",
    "Naming",
    "Padding",
    "Pretrained",
    "architecture",
    "build",
    "build_with_weights",
    "get",
    "names",
]
