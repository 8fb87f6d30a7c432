"""Random changes to training pictures, as Keras layers.

They are part of the graph that trains, on the GPU where there is one, and of nothing that is
saved. Pictures are 0 to 255.
"""

from typing import Any

from edgecnn.training.settings import Augment


def augmentation_layers(preset: Augment) -> list[Any]:
    """Keras layers, to be called in this order.

    `light` keeps left and right apart, as digits and signs need: shift, a few degrees of
    rotation, brightness, contrast. `standard` adds mirroring and crops of down to 75 % of the
    picture's side, and moves all of it further.
    """
    if preset == "none":
        return []
    from keras import layers

    # Half precision would blur 256 shades; mixed precision begins with the network itself.
    exact = {"dtype": "float32"}
    strength = 1.0 if preset == "light" else 2.0
    light = 0.1 * strength
    geometry = [
        layers.RandomTranslation(0.05 * strength, 0.05 * strength, fill_mode="nearest", **exact),
        layers.RandomRotation(0.015 * strength, fill_mode="nearest", **exact),
    ]
    if preset == "standard":
        geometry = [
            layers.RandomFlip("horizontal", **exact),
            layers.RandomZoom((-0.25, 0.0), fill_mode="nearest", **exact),
            *geometry,
        ]
    return [
        *geometry,
        layers.RandomContrast(light, value_range=(0, 255), **exact),
        layers.RandomBrightness(light, value_range=(0, 255), **exact),
    ]
