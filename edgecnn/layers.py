"""The two layers of the text that Keras lacks.

Both save and load like Keras's own, and export: where a format has no such operator, the
writers of `edgecnn.export` take them apart.
"""

from typing import Any

import keras
from keras import ops

from edgecnn.errors import EdgeCnnError


@keras.saving.register_keras_serializable(package="edgecnn")
class LocalResponseNormalization(keras.layers.Layer):  # type: ignore[misc]  # Keras is untyped
    """AlexNet's normalisation: strong neighbours in nearby channels inhibit a value.

        b_i = a_i · (k + alpha · Σ a_j²)^(-beta),   j from i - r/2 to i + r/2

    with r/2 rounded down and the sum cut off at the first and last channel. `size` is r, so
    `tf.nn.local_response_normalization`'s `depth_radius` is `size // 2`, and its `alpha` is
    this one; torch's divides by the size. Keeps the input's shape `(batch, ..., channels)`.

    Source: Krizhevsky, Sutskever, Hinton, ImageNet Classification with Deep Convolutional
    Neural Networks, NIPS 2012, section 3.3.
    """

    def __init__(
        self,
        size: int = 5,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 2.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if size < 1 or k <= 0 or alpha < 0:
            raise EdgeCnnError(
                f"{self.name}: size must be at least 1, k positive and alpha not negative, not "
                f"size={size}, k={k}, alpha={alpha}."
            )
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def call(self, inputs: Any) -> Any:
        """Normalise `(batch, ..., channels)`."""
        radius, channels = self.size // 2, inputs.shape[-1]
        ends = [(0, 0)] * (len(inputs.shape) - 1)
        squares = ops.pad(ops.square(inputs), [*ends, (radius, radius)])
        total = sum(squares[..., i : i + channels] for i in range(2 * radius + 1))
        return inputs * ops.power(self.k + self.alpha * total, -self.beta)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        own = {"size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="edgecnn")
class DepthPool(keras.layers.Layer):  # type: ignore[misc]  # Keras is untyped
    """Depthwise max pooling: the largest of every `pool_size` successive channels.

    Lets a network learn to ignore what its filters can be trained to show in variants, such as
    rotation. `(batch, ..., channels)` becomes `(batch, ..., channels / pool_size)`.

    Raises `EdgeCnnError` when `pool_size` does not divide the channels.
    """

    def __init__(self, pool_size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if pool_size < 1:
            raise EdgeCnnError(f"{self.name}: pool_size must be at least 1, not {pool_size}.")
        self.pool_size = pool_size

    def call(self, inputs: Any) -> Any:
        """Pool `(batch, ..., channels)`."""
        *ends, groups = self.compute_output_shape(tuple(inputs.shape))
        # One dimension may be unknown, and then is what is left over.
        known = [-1 if side is None else side for side in ends]
        return ops.max(ops.reshape(inputs, (*known, groups, self.pool_size)), axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Channels divided by the pool size."""
        channels = input_shape[-1]
        if channels is None or channels % self.pool_size:
            raise EdgeCnnError(
                f"{self.name}: pool_size {self.pool_size} does not divide {channels} channels."
            )
        return (*input_shape[:-1], channels // self.pool_size)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return {**super().get_config(), "pool_size": self.pool_size}
