"""The architectures of the source text, a file per family.

Importing this package imports no Keras; building a network does.
"""

from typing import TYPE_CHECKING, Any, Literal

from edgecnn.errors import EdgeCnnError
from edgecnn.zoo import efficientnet_lite, lenet, resnet
from edgecnn.zoo.registry import Architecture, Figures, architecture, get, names

if TYPE_CHECKING:
    import keras

_FAMILIES = (efficientnet_lite, lenet, resnet)  # importing a family registers its networks


def build(
    name: str,
    input_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
    *,
    weights: str | None = None,
    include_top: bool = True,
    padding: Literal["same", "symmetric"] = "same",
    classifier_activation: Literal["softmax"] | None = "softmax",
) -> "keras.Model":
    """Build a network of the zoo.

    `input_shape` is `(height, width, channels)`; it and `classes` default to what the network
    was published with. `weights` is None (He-initialised), `"imagenet"` or a file.
    `padding` is TensorFlow's `same`, or `symmetric`: the torch and Caffe rule, which imported
    weights need. `classifier_activation` None ends the network in its logits.

    Raises `UnknownName` for a name that is not in the zoo and `EdgeCnnError` for an input the
    network cannot take.
    """
    entry = get(name)
    shape = input_shape or entry.input_shape
    if min(shape[:2]) < entry.minimum_side or shape[2] not in (1, 3):
        raise EdgeCnnError(
            f"{name} takes pictures of at least {entry.minimum_side}×{entry.minimum_side} with 1 "
            f"or 3 channels, not {shape[0]}×{shape[1]}×{shape[2]}."
        )
    options: dict[str, Any] = {"include_top": include_top, "padding": padding}
    model = entry.builder(
        shape, classes or entry.classes, classifier_activation=classifier_activation, **options
    )
    if weights is not None:
        from edgecnn.weights import load_weights

        load_weights(model, entry, weights)
    return model


__all__ = ["Architecture", "Figures", "architecture", "build", "get", "names"]
