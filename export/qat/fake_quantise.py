"""Rounding to integers and back, with gradients that pass straight through.

The gradient of rounding is taken to be one (Bengio et al., Estimating or Propagating Gradients
Through Stochastic Neurons for Conditional Computation, 2013), so that the step size learns from
the rounding error within the range and from the bound outside of it (Esser et al., Learned Step
Size Quantization, 2020), and the zero point from what is clipped (Bhalgat et al., LSQ+: Improving
low-bit quantization through learnable offsets and better initialization, 2020).
"""

from typing import Any

import tensorflow as tf

Tensor = Any


def _activations(x: Tensor, scale: Tensor, zero_point: Tensor) -> Any:
    """Real values as uint8 holds them: scale and zero point are scalars, the latter whole."""
    least, most = -zero_point, 255.0 - zero_point
    # One kernel of TensorFlow's each way: of plain arithmetic, training would take twice as long.
    low, high = least * scale, most * scale
    y = tf.quantization.fake_quant_with_min_max_vars(x, low, high)

    def gradient(upstream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        of_x, of_low, of_high = tf.quantization.fake_quant_with_min_max_vars_gradient(
            upstream, x, low, high
        )
        # TensorFlow's own leaves out what scale does to the rounding within the range.
        of_rounding = (_product(of_x, y) - _product(of_x, x)) / scale
        return (
            of_x,
            of_rounding + of_low * least + of_high * most,
            -scale * (of_low + of_high),
        )

    return y, gradient


def _product(a: Tensor, b: Tensor) -> Tensor:
    return tf.tensordot(tf.reshape(a, (-1,)), tf.reshape(b, (-1,)), 1)


def _weights(real: Tensor, scale: Tensor, largest: Tensor) -> Any:
    """Weights (..., channels) as int8 holds them, of at most so many steps; a scale a channel."""
    steps = real / scale
    rounded = tf.clip_by_value(tf.round(steps), -largest, largest)

    def gradient(upstream: Tensor) -> tuple[Tensor, Tensor, None]:
        within = tf.abs(steps) <= largest
        of_scale = tf.where(within, rounded - steps, rounded)
        axes = list(range(len(steps.shape) - 1))
        return (
            tf.where(within, upstream, 0.0),
            tf.reduce_sum(upstream * of_scale, axis=axes),
            None,
        )

    return rounded * scale, gradient


def _rounded(x: Tensor) -> Any:
    """The nearest whole number, and a gradient of one."""
    return tf.round(x), lambda upstream: upstream


activations = tf.custom_gradient(_activations)
weights = tf.custom_gradient(_weights)
rounded = tf.custom_gradient(_rounded)
