"""Random classifiers of everything that Keras has for pictures, one for each seed.

A network is a few blocks on one another, drawn from `BLOCKS`; many are run as they are and within
a layer of one's own, which export has to open. Weights, biases and statistics are random, and
statistics fit what flows (as training makes them), so that values stay of a size that says
something.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from edgecnn.head import Kind
from edgecnn.preprocessing import Preprocessing

Block = Callable[["Draw", Any], Any]
BLOCKS: dict[str, Block] = {}
LARGEST = 5000
"""Values that a tensor in the middle may have: small networks are exported in no time."""


def block(function: Block) -> Block:
    BLOCKS[function.__name__] = function
    return function


class NotHere(Exception):
    """A block that does not go with what came before."""


# layers of one's own


class Inside(layers.Layer):
    """Runs a layer, whose rule export does not see from outside."""

    def __init__(self, layer: layers.Layer, **options: Any) -> None:
        super().__init__(**options)
        self.layer = layer

    def build(self, shape: Any) -> None:
        if not self.layer.built:
            self.layer.build(shape)

    def call(self, x: Any) -> Any:
        return self.layer(x)


class Computes(layers.Layer):
    """A function of tensors, as a layer."""

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        super().__init__(**options)
        self.function = function

    def call(self, *inputs: Any) -> Any:
        return self.function(*inputs)


class Learned(layers.Layer):
    """x · scale + shift, of weights of any shape that stretches."""

    def __init__(self, shape: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self.shape = tuple(shape)

    def build(self, shape: Any) -> None:
        self.gamma = self.add_weight(shape=self.shape, initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=self.shape, initializer="zeros", name="beta")

    def call(self, x: Any) -> Any:
        return x * self.gamma + self.beta


class WeightStandardised(layers.Conv2D):
    """A convolution whose kernel is standardised whenever it runs (Qiao et al., 2019)."""

    def call(self, x: Any) -> Any:
        mean = ops.mean(self.kernel, axis=(0, 1, 2), keepdims=True)
        variance = ops.var(self.kernel, axis=(0, 1, 2), keepdims=True)
        kernel = (self.kernel - mean) / ops.sqrt(variance + 1e-5)
        x = ops.conv(x, kernel / 3, strides=self.strides, padding=self.padding)
        return self.activation(x + self.bias)


class Reparameterised(layers.Layer):
    """A 3×3 and a 1×1 convolution, a BatchNorm each, and what came in (Ding et al., 2021)."""

    def build(self, shape: Any) -> None:
        channels = shape[-1]
        self.parts = [
            layers.Conv2D(channels, side, padding="same", use_bias=False) for side in (3, 1)
        ]
        self.norms = [layers.BatchNormalization() for _ in range(3)]
        for part in (*self.parts, *self.norms):
            part.build(shape)

    def call(self, x: Any, training: Any = None) -> Any:
        branches = [*(part(x) for part in self.parts), x]
        return ops.relu(
            sum(
                norm(branch, training=training)
                for norm, branch in zip(self.norms, branches, strict=True)
            )
        )


class SqueezeExcite(layers.Layer):
    def build(self, shape: Any) -> None:
        self.squeeze = layers.Dense(4, activation="relu")
        self.excite = layers.Dense(shape[-1], activation="sigmoid")

    def call(self, x: Any) -> Any:
        gate = self.excite(self.squeeze(ops.mean(x, axis=(1, 2))))
        return x * gate[:, None, None, :]


class SpatialAttention(layers.Layer):
    """Where to look, from the mean and the largest of all channels (Woo et al., 2018)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.conv = layers.Conv2D(1, 5, padding="same", activation="sigmoid")

    def call(self, x: Any) -> Any:
        seen = [ops.mean(x, axis=-1, keepdims=True), ops.max(x, axis=-1, keepdims=True)]
        return x * self.conv(ops.concatenate(seen, axis=-1))


class StochasticDepth(layers.Layer):
    """Leaves a branch out at random, in training."""

    def call(self, x: Any, training: bool | None = None) -> Any:
        if training:
            return x * ops.floor(keras.random.uniform((ops.shape(x)[0], 1, 1, 1)) + 0.5)
        return x


class PixelAttention(layers.Layer):
    """Self-attention of all pixels, written out."""

    def build(self, shape: Any) -> None:
        self.project = [layers.Dense(8) for _ in range(3)]
        self.back = layers.Dense(shape[-1])

    def call(self, x: Any) -> Any:
        shape = ops.shape(x)
        pixels = ops.reshape(x, (-1, shape[1] * shape[2], shape[3]))
        query, key, value = (project(pixels) for project in self.project)
        weights = ops.softmax(query @ ops.transpose(key, (0, 2, 1)) / 8**0.5)
        return x + ops.reshape(self.back(weights @ value), shape)


class Compiled(layers.Layer):
    """A layer whose call is a `tf.function`."""

    def build(self, shape: Any) -> None:
        import tensorflow as tf

        self.gamma = self.add_weight(shape=shape[-1:], initializer="ones", name="gamma")
        self.run = tf.function(lambda x: x * self.gamma + ops.tanh(x))

    def call(self, x: Any) -> Any:
        return self.run(x)


# drawing


@dataclass
class Drawn:
    """A network, and what has to be said of it to export it."""

    seed: int
    model: keras.Model
    blocks: list[str]
    preprocessing: Preprocessing
    size: tuple[int, int, int]
    head: Kind | None
    """What is said of the head."""
    added: str | None
    """The function that export adds to the logits."""
    failed: list[str]
    policy: str = "float32"
    twin: keras.Model | None = None
    """The same under float32."""

    @property
    def reference(self) -> keras.Model:
        return self.twin or self.model


@dataclass
class Draw:
    """What blocks draw from, and what they know of the network so far."""

    rng: np.random.Generator
    picture: Any
    probe: Any
    """Pictures as the network takes them."""
    said: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """What Keras itself could not do."""
    _set: set[int] = field(default_factory=set)

    def whole(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def of(self, options: Sequence[Any]) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def some(self, chance: float) -> bool:
        return bool(self.rng.random() < chance)

    def real(self, low: float, high: float) -> float:
        return float(np.float32(self.rng.uniform(low, high)))

    def array(self, shape: Sequence[int]) -> np.ndarray:
        return self.rng.normal(0, 1, shape).astype(np.float32)

    def put(self, layer: Any, x: Any) -> Any:
        """The layer as it is, or inside of one that is opened."""
        return Inside(layer)(x) if self.some(0.3) else layer(x)

    def compute(self, function: Callable[..., Any], *inputs: Any) -> Any:
        """Operations as nodes of the model, or inside of a layer."""
        return Computes(function)(*inputs) if self.some(0.5) else function(*inputs)

    def randomise(self, x: Any) -> None:
        """Give new variables values that show whether they are used, and used right."""
        for weight in keras.Model(self.picture, x).weights:
            if id(weight) in self._set or "float" not in str(weight.dtype):
                continue
            self._set.add(id(weight))
            shape, kind = tuple(weight.shape), weight.path.rpartition("/")[2]
            if kind in ("bias", "beta", "moving_mean"):
                weight.assign(self.rng.normal(0, 0.3, shape))
            elif kind in ("gamma", "moving_variance", "scale"):
                weight.assign(self.rng.uniform(0.5, 1.5, shape))
            elif kind == "alpha":
                weight.assign(self.rng.uniform(-0.3, 0.6, shape))

    def values(self, x: Any) -> np.ndarray:
        """What flows, for a few pictures."""
        return np.asarray(keras.Model(self.picture, x)(self.probe, training=False), np.float32)

    def normed(self, x: Any, values: np.ndarray) -> Any:
        """BatchNorm with the statistics of what flows."""
        norm = layers.BatchNormalization(
            epsilon=self.of([1e-3, 1e-5]), scale=self.some(0.8), center=self.some(0.8)
        )
        result = self.put(norm, x)
        self.randomise(result)
        axes = tuple(range(values.ndim - 1))
        norm.moving_mean.assign(values.mean(axes))
        norm.moving_variance.assign(np.maximum(values.var(axes), 1e-4 * values.var() + 1e-6))
        return result


def picture_like(x: Any) -> None:
    if len(x.shape) != 4:
        raise NotHere


def at_least(x: Any, side: int) -> None:
    picture_like(x)
    if min(x.shape[1:3]) < side:
        raise NotHere


NAMED_ACTIVATIONS = (
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "swish",
    "hard_swish",
    "hard_sigmoid",
    "sigmoid",
    "tanh",
    "mish",
    "softplus",
    "softsign",
    "exponential",
    "log_sigmoid",
    "log_softmax",
    "softmax",
    "tanh_shrink",
    "hard_tanh",
    "hard_shrink",
    "soft_shrink",
    "squareplus",
    "sparse_plus",
    "sparse_sigmoid",
    "threshold",
    "linear",
)


def activation(d: Draw) -> Any:
    kind = d.of(NAMED_ACTIVATIONS)
    match d.whole(0, 5):
        case 0:
            return layers.LeakyReLU(d.real(0, 0.4))
        case 1:
            return None
        case 2 if kind not in ("threshold",):
            return getattr(keras.activations, kind)
        case 3:
            return "relu"
    return "relu" if kind == "threshold" else kind


# convolutions


def window(d: Draw, x: Any, *, largest: int = 7) -> dict[str, Any]:
    at_least(x, 2)
    kernel = d.whole(1, largest), d.whole(1, largest)
    kernel = (kernel[0], kernel[0]) if d.some(0.5) else kernel
    padding = d.of(["same", "valid"])
    # With most of a kernel over the edge, TensorFlow 2.21's own answers depend on the batch.
    kernel = tuple(min(k, n) for k, n in zip(kernel, x.shape[1:3], strict=True))
    strides = d.of([(1, 1), (1, 1), (1, 1), (1, 2), (2, 1), (2, 2), (3, 2)])
    return {"kernel_size": kernel, "padding": padding, "strides": strides}


def dilated(d: Draw, x: Any, options: dict[str, Any]) -> dict[str, Any]:
    if d.some(0.3):
        rate = d.of([(2, 2), (1, 2), (2, 1), (3, 3)])
        reach = [(k - 1) * r + 1 for k, r in zip(options["kernel_size"], rate, strict=True)]
        fits = all(n >= r for n, r in zip(x.shape[1:3], reach, strict=True))
        if options["padding"] == "same" or fits:
            return options | {"strides": (1, 1), "dilation_rate": rate}
    return options


@block
def convolution(d: Draw, x: Any) -> Any:
    options = dilated(d, x, window(d, x))
    channels = x.shape[-1]
    filters = d.whole(2, 12)
    groups = 1
    if d.some(0.25):
        groups = d.of([g for g in range(1, channels + 1) if channels % g == 0])
        filters = groups * d.whole(1, max(1, 12 // groups))
    return d.put(
        layers.Conv2D(
            filters, groups=groups, use_bias=d.some(0.7), activation=activation(d), **options
        ),
        x,
    )


@block
def depthwise(d: Draw, x: Any) -> Any:
    options = window(d, x, largest=5)
    options["strides"] = d.of([1, 1, 2])
    if options["strides"] == 1:
        options = dilated(d, x, options)
    layer = layers.DepthwiseConv2D(
        depth_multiplier=d.of([1, 1, 2, 3]),
        use_bias=d.some(0.7),
        activation=activation(d),
        **options,
    )
    return d.put(layer, x)


@block
def separable(d: Draw, x: Any) -> Any:
    options = window(d, x, largest=5)
    options["strides"] = d.of([1, 1, 2])
    if options["strides"] == 1:
        options = dilated(d, x, options)
    layer = layers.SeparableConv2D(
        d.whole(2, 12),
        depth_multiplier=d.of([1, 1, 2]),
        use_bias=d.some(0.7),
        activation=activation(d),
        **options,
    )
    return d.put(layer, x)


@block
def transposed(d: Draw, x: Any) -> Any:
    picture_like(x)
    strides = d.of([(1, 1), (2, 2), (2, 1), (1, 3), (3, 2)])
    kernel = d.of([(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (2, 3), (1, 4)])
    padding = d.of(["same", "valid"])
    out = None
    if d.some(0.25):
        out = tuple(d.whole(0, s - 1) for s in strides)
    return d.put(
        layers.Conv2DTranspose(
            d.whole(2, 8),
            kernel,
            strides=strides,
            padding=padding,
            output_padding=out,
            use_bias=d.some(0.7),
            activation=activation(d),
        ),
        x,
    )


@block
def dense(d: Draw, x: Any) -> Any:
    layer = layers.Dense(d.whole(2, 12), use_bias=d.some(0.7), activation=activation(d))
    return d.put(layer, x)


@block
def einsum_dense(d: Draw, x: Any) -> Any:
    picture_like(x)
    if d.some(0.5):
        layer = layers.EinsumDense("bhwc,cd->bhwd", (None, None, d.whole(2, 8)), bias_axes="d")
    else:
        layer = layers.EinsumDense("bhwc,wv->bhvc", (None, d.whole(2, 8), x.shape[-1]))
    return d.put(layer, x)


@block
def weight_standardised(d: Draw, x: Any) -> Any:
    options = window(d, x, largest=4)
    return WeightStandardised(d.whole(2, 8), activation="relu", **options)(x)


@block
def own_layer(d: Draw, x: Any) -> Any:
    picture_like(x)
    own = [Reparameterised, SqueezeExcite, SpatialAttention, StochasticDepth, PixelAttention]
    return d.of([*own, Compiled])()(x)


@block
def learned(d: Draw, x: Any) -> Any:
    shape = [n if d.some(0.5) else 1 for n in x.shape[1:]]
    return Learned(shape[d.whole(0, len(shape) - 1) :])(x)


@block
def multi_head_attention(d: Draw, x: Any) -> Any:
    picture_like(x)
    if x.shape[1] * x.shape[2] > 80:
        x = layers.AveragePooling2D(2, padding="same")(x)
    if x.shape[1] * x.shape[2] > 80:
        raise NotHere
    if d.some(0.5):
        x = layers.Reshape((-1, x.shape[-1]))(x)
    attention = layers.MultiHeadAttention(d.of([1, 2, 3]), d.whole(2, 5))
    return x + attention(x, x)


@block
def attention(d: Draw, x: Any) -> Any:
    if len(x.shape) != 3:
        raise NotHere
    key = layers.Dense(x.shape[-1])(x)
    kind = d.of([layers.Attention, layers.AdditiveAttention])
    return kind()([x, key])


# pools


@block
def pool(d: Draw, x: Any) -> Any:
    at_least(x, 3)
    size = d.of([2, 3, (2, 3), (3, 1), (1, 2), (4, 4)])
    strides = d.of([None, None, 1, 2, (1, 2), (2, 1)])
    padding = d.of(["same", "valid"])
    if padding == "valid" and min(x.shape[1:3]) < 4:
        raise NotHere
    kind = d.of([layers.MaxPooling2D, layers.AveragePooling2D])
    return d.put(kind(size, strides=strides, padding=padding), x)


@block
def adaptive_pool(d: Draw, x: Any) -> Any:
    at_least(x, 3)
    # Of AdaptiveMaxPooling2D, TensorFlow 2.21 dies of a division by zero in Keras 3.15 itself.
    size = d.whole(1, 3), d.whole(1, 3)
    kind = layers.AdaptiveAveragePooling2D
    return d.put(kind(size), x)


@block
def global_pool(d: Draw, x: Any) -> Any:
    picture_like(x)
    kind = d.of([layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D])
    pooled = d.put(kind(keepdims=True), x)
    match d.whole(0, 3):
        case 0:
            return layers.Multiply()([x, layers.Activation("sigmoid")(pooled)])
        case 1:
            return layers.Add()([x, d.put(kind(), x)])
        case 2:
            flat = d.put(kind(), x)
            return layers.Multiply()([x, layers.Reshape((1, 1, x.shape[-1]))(flat)])
    return layers.Concatenate()([x, layers.UpSampling2D(x.shape[1:3])(pooled)])


@block
def flat_pool(d: Draw, x: Any) -> Any:
    picture_like(x)
    if d.some(0.7):
        raise NotHere
    flat = d.of([layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D])()(x)
    return layers.Reshape((1, x.shape[-1]))(flat) if d.some(0.5) else flat


# normalisation


@block
def batch_norm(d: Draw, x: Any) -> Any:
    if d.some(0.7):
        return d.normed(x, d.values(x))
    axis = d.whole(1, len(x.shape) - 1)
    return d.put(layers.BatchNormalization(axis=axis), x)


@block
def normalisation(d: Draw, x: Any) -> Any:
    last = len(x.shape) - 1
    axes = [i for i in range(1, last + 1) if d.some(0.5)] or [last]
    match d.whole(0, 4):
        case 0:
            return d.put(layers.LayerNormalization(axis=d.of([-1, axes])), x)
        case 1:
            channels = x.shape[-1]
            groups = d.of([g for g in range(1, channels + 1) if channels % g == 0])
            return d.put(layers.GroupNormalization(groups), x)
        case 2:
            # What is nearly zero has a direction that rounding turns.
            return d.put(layers.UnitNormalization(axis=d.of([-1, axes])), x + 0.137)
        case 3:
            return d.put(layers.RMSNormalization(), x)
    wrapped = layers.SpectralNormalization(layers.Dense(d.whole(2, 8)))
    return wrapped(x)


# activations


@block
def activations(d: Draw, x: Any) -> Any:
    kind = d.of(NAMED_ACTIVATIONS)
    last = len(x.shape) - 1
    shared = [i for i in range(1, last) if d.some(0.6)]
    options: list[Callable[[], Any]] = [
        lambda: layers.Activation("relu" if kind == "threshold" else kind),
        lambda: layers.Activation("linear" if kind == "threshold" else kind),
        lambda: layers.PReLU(shared_axes=shared),
        lambda: layers.PReLU(shared_axes=[*range(1, last)]),
        lambda: layers.ReLU(
            max_value=d.of([None, 1.0, 6, 2.5]),
            negative_slope=d.of([0.0, 0.1]),
            threshold=d.of([0.0, 0.0, 0.3]),
        ),
        lambda: layers.ELU(d.of([1.0, 0.4])),
        lambda: layers.LeakyReLU(d.real(0, 0.5)),
        lambda: layers.Softmax(axis=d.whole(1, last)),
        lambda: layers.Softmax(axis=d.of([-1, (1, last)]) if last > 1 else -1),
        lambda: layers.Activation(lambda v: ops.tanh(v) * 1.5),
        lambda: layers.Activation(layers.ELU(0.5)),
    ]
    return d.put(d.of(options)(), x)


@block
def activation_function(d: Draw, x: Any) -> Any:
    kind = d.of([k for k in NAMED_ACTIVATIONS if k != "threshold"])
    if kind == "gelu":
        return d.compute(lambda v: ops.gelu(v, approximate=True), x)
    if kind == "celu":
        return d.compute(lambda v: ops.celu(v, alpha=0.7), x)
    if kind == "leaky_relu":
        return d.compute(lambda v: ops.leaky_relu(v, negative_slope=0.3), x)
    if d.some(0.1) and x.shape[-1] % 2 == 0:
        return d.compute(lambda v: ops.glu(v, axis=-1), x)
    return d.compute(lambda v: getattr(keras.activations, kind)(v), x)


# what moves


@block
def upsampling(d: Draw, x: Any) -> Any:
    picture_like(x)
    size = d.of([2, (1, 2), (2, 1), (3, 2)])
    return d.put(
        layers.UpSampling2D(size, interpolation=d.of(["nearest", "bilinear", "bicubic"])), x
    )


@block
def cropping(d: Draw, x: Any) -> Any:
    at_least(x, 6)
    return d.put(
        layers.Cropping2D(((d.whole(0, 2), d.whole(0, 2)), (d.whole(0, 2), d.whole(0, 2)))), x
    )


@block
def zero_padding(d: Draw, x: Any) -> Any:
    picture_like(x)
    widths = ((d.whole(0, 2), d.whole(0, 2)), (d.whole(0, 2), d.whole(0, 2)))
    x = d.put(layers.ZeroPadding2D(widths), x)
    match d.whole(0, 4):
        case 0:
            return layers.MaxPooling2D(d.of([2, 3]), d.of([1, 2]), d.of(["same", "valid"]))(x)
        case 1:
            return layers.AveragePooling2D(2, 1, padding=d.of(["same", "valid"]))(x)
        case 2:
            return layers.Conv2D(4, 3, padding="same", strides=d.of([1, 2]))(x)
        case 3:
            return layers.DepthwiseConv2D(2, padding=d.of(["same", "valid"]))(x)
    return x


@block
def permute(d: Draw, x: Any) -> Any:
    last = len(x.shape) - 1
    return d.put(layers.Permute(tuple(d.rng.permutation(last) + 1)), x)


@block
def reshape(d: Draw, x: Any) -> Any:
    shape = x.shape[1:]
    total = int(np.prod(shape))
    if len(shape) == 3:
        options = [(shape[0] * shape[1], shape[2]), (shape[0], shape[1] * shape[2]), (*shape, 1)]
        options = options[:2]
        if shape[1] % 2 == 0:
            options.append((shape[0], shape[1] // 2, shape[2] * 2))
        if shape[0] % 2 == 0:
            options.append((shape[0] // 2, shape[1], shape[2] * 2))
        return d.put(layers.Reshape(d.of(options)), x)
    sides = [n for n in range(1, 13) if total % n == 0]
    first = d.of(sides)
    second = d.of([n for n in range(1, 13) if total // first % n == 0])
    return d.put(layers.Reshape((first, second, -1)), x)


@block
def flatten(d: Draw, x: Any) -> Any:
    if d.some(0.7) or int(np.prod(x.shape[1:])) > 800:
        raise NotHere
    return layers.Flatten()(x)


# several


def branch(d: Draw, x: Any) -> Any:
    """Something of the same shape that flows beside."""
    match d.whole(0, 3) if len(x.shape) == 4 else 3:
        case 0:
            return layers.Conv2D(x.shape[-1], 3, padding="same", activation=activation(d))(x)
        case 1:
            return layers.DepthwiseConv2D(3, padding="same")(x)
        case 2:
            return layers.MaxPooling2D(3, 1, padding="same")(x)
    return layers.Dense(x.shape[-1], activation="tanh")(x)


@block
def merge(d: Draw, x: Any) -> Any:
    kind = d.of(["Add", "Subtract", "Multiply", "Maximum", "Minimum", "Average"])
    others = [branch(d, x)]
    if kind != "Subtract" and d.some(0.3):
        others.append(branch(d, x))
    if d.some(0.3) and len(x.shape) == 4:
        axes = d.of([(1,), (2,), (3,), (1, 2), (1, 2, 3)])
        others[0] = ops.mean(others[0], axis=axes, keepdims=True)
    inputs = [x, *others] if kind == "Subtract" or d.some(0.5) else [*others, x]
    layer = getattr(layers, kind)()
    return layer(inputs)


@block
def concatenate(d: Draw, x: Any) -> Any:
    axis = d.of([*range(1, len(x.shape)), -1])
    return layers.Concatenate(axis=axis)([x, branch(d, x)])


@block
def dot(d: Draw, x: Any) -> Any:
    if len(x.shape) == 4:
        x = layers.Reshape((x.shape[1] * x.shape[2], x.shape[3]))(x)
    if len(x.shape) != 3 or x.shape[1] > 60:
        raise NotHere
    axis = d.of([1, 2])
    return layers.Dot(axes=axis, normalize=d.some(0.3))([x, branch(d, x)])


@block
def arithmetic(d: Draw, x: Any) -> Any:
    shape = [n if d.some(0.5) else 1 for n in x.shape[1:]]
    constant = d.array(shape[d.whole(0, len(shape) - 1) :])
    a, b = d.real(-2, 2), d.real(0.5, 2)
    options: list[Callable[[Any], Any]] = [
        lambda v: v + constant,
        lambda v: constant - v,
        lambda v: v * constant,
        lambda v: v / (np.abs(constant) + 0.5),
        lambda v: a / (ops.abs(v) + 1),
        lambda v: (v - a) / b,
        lambda v: a - v * b,
        lambda v: v**2,
        lambda v: -v,
        lambda v: (ops.abs(v) + 0.1) ** b,
        lambda v: b ** ops.tanh(v),
        lambda v: ops.maximum(v, a),
        lambda v: ops.minimum(v, constant),
        lambda v: ops.maximum(ops.minimum(v, 6), 0),
        lambda v: ops.relu6(v + 3) * (1 / 6) * v,
        lambda v: ops.abs(v) ** 0.5,
        lambda v: v - ops.mean(v, axis=-1, keepdims=True),
        lambda v: ops.divide_no_nan(v, ops.floor(ops.relu(v) + 0.363)),
        lambda v: v + v,
        lambda v: v * v * 0.5,
        lambda v: v / ops.add(ops.square(v), 1),
    ]
    return d.compute(d.of(options), x)


@block
def function(d: Draw, x: Any) -> Any:
    options: list[Callable[[Any], Any]] = [
        lambda v: ops.exp(-ops.square(v)),
        lambda v: ops.exp(ops.tanh(v)),
        lambda v: ops.log(ops.abs(v) + 0.2),
        lambda v: ops.log1p(ops.abs(v)),
        lambda v: ops.log2(ops.abs(v) + 0.5),
        lambda v: ops.log10(ops.abs(v) + 0.5),
        lambda v: ops.sqrt(ops.relu(v) + 0.1),
        lambda v: ops.rsqrt(ops.square(v) + 0.5),
        ops.square,
        ops.abs,
        ops.sin,
        ops.cos,
        ops.erf,
        ops.erfc,
        lambda v: ops.expm1(-ops.abs(v)),
        lambda v: ops.reciprocal(ops.abs(v) + 0.5),
        lambda v: ops.negative(v),
        lambda v: ops.sign(v - 0.137),
        lambda v: ops.floor(v * 2 + 0.137),
        lambda v: ops.ceil(v * 2 + 0.137),
        lambda v: ops.round(v * 2 + 0.137),
        lambda v: ops.trunc(v * 2 + 0.137),
        lambda v: ops.tan(ops.tanh(v)),
        ops.sinh if d.some(0.1) else ops.arcsinh,
        ops.arctan,
        lambda v: ops.cosh(ops.tanh(v)),
        lambda v: ops.arcsin(ops.tanh(v) * 0.9),
        lambda v: ops.arccos(ops.tanh(v) * 0.9),
        lambda v: ops.arctanh(ops.tanh(v) * 0.9),
        lambda v: ops.arccosh(ops.abs(v) + 1.2),
        lambda v: ops.arctan2(v, ops.abs(v) + 0.5),
        lambda v: ops.exp2(ops.tanh(v)),
        lambda v: ops.cbrt(ops.abs(v) + 0.2),
        lambda v: ops.hypot(v, ops.tanh(v) + 2),
        lambda v: ops.logaddexp(v, -v),
        lambda v: ops.heaviside(v - 0.137, 0.5),
        lambda v: ops.sinc(v + 0.137),
        lambda v: ops.nan_to_num(v),
        lambda v: ops.mod(v + 0.137, 1.5),
        lambda v: ops.floor_divide(v + 0.137, 0.5),
        lambda v: ops.deg2rad(v * 50),
        lambda v: ops.clip(v, -0.5, 1.0),
        lambda v: ops.clip(v, 0.0, 6.0),
    ]
    return d.compute(d.of(options), x)


@block
def comparison(d: Draw, x: Any) -> Any:
    constant = d.array((x.shape[-1],))
    mask = d.rng.random(x.shape[1:]) < 0.5
    options: list[Callable[[Any], Any]] = [
        lambda v: ops.where(v > 0, v, 0.1 * v),
        lambda v: ops.where(v >= constant, v, constant),
        lambda v: ops.where(ops.less(v, 0.137), v, 0.137),
        lambda v: ops.cast(v > 0.137, v.dtype) * v,
        lambda v: ops.where(ops.logical_and(v > -1, v < 1), v, ops.sign(v)),
        lambda v: ops.where(ops.logical_or(v < -1, v > 1), ops.sign(v), v),
        lambda v: ops.where(ops.logical_not(v > 0), 0.1 * v, v),
        lambda v: ops.where(ops.logical_xor(v > 0, v > -1), v, -v),
        lambda v: ops.where(mask, v, 0.0),
        lambda v: ops.where(mask, v, -v),
        lambda v: ops.where(ops.not_equal(ops.sign(v - 0.137), 1.0), v, 1.0),
        lambda v: ops.where(ops.isnan(v), 0.0, v),
        lambda v: ops.where(ops.any(v > 0.5, axis=-1, keepdims=True), v, 0.5 * v),
        lambda v: ops.where(ops.all(v > -5.0, axis=-1, keepdims=True), v, 0.5 * v),
        lambda v: ops.where(v > (m := ops.mean(v, axis=-1, keepdims=True)), v, m),
        lambda v: ops.select([v > 1.137, v < -0.863], [v * 0.5, v * 2.0], v),
        lambda v: v * ops.cast(ops.isfinite(v), v.dtype),
    ]
    return d.compute(d.of(options), x)


@block
def reduction(d: Draw, x: Any) -> Any:
    last = len(x.shape) - 1
    axes = tuple(i for i in range(1, last + 1) if d.some(0.5)) or (d.whole(1, last),)
    axes = d.of([axes, tuple(a - last - 1 for a in axes)])
    reduce = d.of(
        [
            ops.mean,
            ops.std,
            ops.var,
            ops.max,
            ops.min,
            ops.sum,
            lambda v, **o: ops.prod(ops.tanh(v) * 0.02 + 1, **o),
            ops.logsumexp,
            lambda v, **o: (
                ops.norm(v, axis=o["axis"][0], keepdims=o["keepdims"])
                if len(o["axis"]) == 1
                else ops.mean(v, **o)
            ),
            lambda v, **o: ops.ptp(v, axis=o["axis"][0], keepdims=o["keepdims"]),
            lambda v, **o: sum(ops.moments(v, axes=o["axis"], keepdims=o["keepdims"])),
            lambda v, **o: ops.average(v, axis=o["axis"][0]) if not o["keepdims"] else v,
            lambda v, **o: ops.cast(ops.count_nonzero(v > 0.137, axis=o["axis"][0]), v.dtype),
            lambda v, **o: ops.median(v, axis=o["axis"][0], keepdims=o["keepdims"]),
        ]
    )
    if d.some(0.3) and len(axes) == last:
        raise NotHere
    match d.whole(0, 2):
        case 0:
            return d.compute(lambda v: v - reduce(v, axis=axes, keepdims=True), x)
        case 1 if len(axes) < last:
            return d.compute(lambda v: reduce(v, axis=axes, keepdims=False), x)
    return d.compute(lambda v: v * ops.tanh(reduce(v, axis=axes, keepdims=True)), x)


@block
def slicing(d: Draw, x: Any) -> Any:
    at_least(x, 4)
    channels = x.shape[-1]
    options: list[Callable[[Any], Any]] = [
        lambda v: v[:, 1:-1],
        lambda v: v[:, ::2, 1::2],
        lambda v: v[:, ::-1],
        lambda v: v[:, :, ::-2],
        lambda v: v[:, -3:, :-2],
        lambda v: v[:, 3:0:-1],
        lambda v: v[..., ::-1],
        lambda v: v[..., : max(1, channels // 2)],
        lambda v: v[..., 0:1] * v,
        lambda v: v[:, 1],
        lambda v: v[:, None, 2],
        lambda v: v[..., None, :, 0] if channels > 1 else v,
        lambda v: v[:, 1:2, 0:1] + v,
        lambda v: ops.concatenate([v[:, ::2, ::2], v[:, ::2, ::2] * 2], axis=-1),
        lambda v: v[:, 1:3, 1:3],
        lambda v: ops.unstack(v, axis=1)[1],
        lambda v: ops.stack([p * i for i, p in enumerate(ops.unstack(v, axis=-1))], axis=-1),
    ]
    return d.compute(d.of(options), x)


@block
def focus(d: Draw, x: Any) -> Any:
    """Every second pixel, four times, as channels: what YOLO calls focus."""
    at_least(x, 4)
    rows, columns = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2

    def take(v: Any) -> Any:
        v = v[:, :rows, :columns]
        parts = [v[:, i::2, j::2] for j in (0, 1) for i in (0, 1)]
        return ops.concatenate(parts, axis=-1)

    return d.compute(take, x)


@block
def splitting(d: Draw, x: Any) -> Any:
    last = len(x.shape) - 1
    axis = d.whole(1, last)
    n = x.shape[axis]
    if n < 2:
        raise NotHere
    at = d.whole(1, n - 1)
    parts = d.of([n, [at]])

    def take(v: Any) -> Any:
        pieces = ops.split(v, parts, axis=axis)
        order = pieces[::-1]
        return ops.concatenate([order[0], *(ops.tanh(p) for p in order[1:])], axis=axis)

    def swap(v: Any) -> Any:
        first, second = ops.split(v, [at], axis=axis)
        return ops.concatenate([second, first], axis=axis)

    def halves(v: Any) -> Any:
        first, second = ops.split(v[..., : v.shape[-1] // 2 * 2], 2, axis=-1)
        return first * ops.sigmoid(second)

    if axis == last and d.some(0.3):
        return d.compute(halves, x)
    return d.compute(d.of([take, swap]), x)


@block
def movement(d: Draw, x: Any) -> Any:
    picture_like(x)
    channels = x.shape[-1]
    perm = (0, *(int(i) + 1 for i in d.rng.permutation(3)))
    places = [d.whole(0, channels - 1) for _ in range(d.whole(1, 6))]
    widths = [[0, 0], *([d.whole(0, 2), d.whole(0, 2)] for _ in range(3))]
    small = [[0, 0] if n and n < 4 else w for w, n in zip(widths, x.shape, strict=True)]
    value = d.real(-1, 1)
    shift, axis = d.whole(-3, 3), d.whole(1, 3)
    options: list[Callable[[Any], Any]] = [
        lambda v: ops.transpose(v, perm),
        lambda v: ops.swapaxes(v, 1, 3),
        lambda v: ops.moveaxis(v, -1, 1),
        lambda v: ops.roll(v, shift, axis=axis),
        lambda v: ops.roll(v, (shift, 1), axis=(1, 2)),
        lambda v: ops.flip(v, axis=axis),
        lambda v: ops.flip(v, axis=(1, 2)),
        lambda v: ops.pad(v, widths),
        lambda v: ops.pad(v, widths, constant_values=value),
        lambda v: ops.pad(v, small, mode="reflect"),
        lambda v: ops.pad(v, small, mode="symmetric"),
        lambda v: ops.tile(v, (1, 1, 2, 1)),
        lambda v: ops.tile(v, (1, 2, 1, 2)),
        lambda v: ops.repeat(v, 2, axis=axis),
        lambda v: ops.take(v, places, axis=-1),
        lambda v: ops.take(v, [1, 0, 1], axis=1) if v.shape[1] > 1 else v,
        lambda v: ops.rot90(v, axes=(1, 2)),
        lambda v: ops.stack([v, ops.tanh(v)], axis=-1)[..., 0] * v,
        lambda v: ops.reshape(ops.stack([v, -v], axis=-1), (-1, *v.shape[1:3], 2 * channels)),
        lambda v: v + ops.mean(v, axis=1, keepdims=True),
        lambda v: ops.squeeze(ops.expand_dims(v, 2), 2),
        lambda v: ops.cumsum(v, axis=axis) * 0.2,
        lambda v: ops.tril(v),
        lambda v: ops.triu(v, k=1) + v,
        lambda v: ops.diff(v, axis=1) if v.shape[1] > 1 else v,
        lambda v: ops.flip(ops.cumsum(ops.flip(v, axis=1), axis=1), axis=1) * 0.2,
        lambda v: v[:, :, :, ::-1] if channels > 1 else v,
        lambda v: ops.append(v, v * 2, axis=axis),
        lambda v: ops.zeros_like(v) + v * ops.ones_like(v),
    ]
    return d.compute(d.of(options), x)


@block
def blocks_of_pixels(d: Draw, x: Any) -> Any:
    picture_like(x)
    _, height, width, channels = x.shape

    def shuffle_channels(v: Any) -> Any:
        v = ops.reshape(v, (-1, height, width, 2, channels // 2))
        return ops.reshape(ops.transpose(v, (0, 1, 2, 4, 3)), (-1, height, width, channels))

    def depth_to_space(v: Any) -> Any:
        v = ops.reshape(v, (-1, height, width, 2, 2, channels // 4))
        v = ops.transpose(v, (0, 1, 3, 2, 4, 5))
        return ops.reshape(v, (-1, 2 * height, 2 * width, channels // 4))

    def space_to_depth(v: Any) -> Any:
        v = ops.reshape(v, (-1, height // 2, 2, width // 2, 2, channels))
        v = ops.transpose(v, (0, 1, 3, 2, 4, 5))
        return ops.reshape(v, (-1, height // 2, width // 2, 4 * channels))

    options: list[Callable[[Any], Any]] = []
    if channels % 2 == 0:
        options.append(shuffle_channels)
    if channels % 4 == 0:
        options += [depth_to_space, lambda v: ops.depth_to_space(v, 2)]
    if height % 2 == width % 2 == 0:
        options += [space_to_depth, lambda v: ops.space_to_depth(v, 2)]
    if not options:
        raise NotHere
    return d.compute(d.of(options), x)


@block
def products(d: Draw, x: Any) -> Any:
    if len(x.shape) == 4:
        if x.shape[1] * x.shape[2] > 120:
            raise NotHere
        matrix = d.array((x.shape[-1], d.whole(2, 8)))
        rows = d.array((d.whole(2, 6), x.shape[1]))
        side = d.array((x.shape[2], x.shape[2]))
        options: list[Callable[[Any], Any]] = [
            lambda v: ops.matmul(v, matrix),
            lambda v: ops.einsum("bhwc,cd->bhwd", v, matrix),
            lambda v: ops.einsum("rh,bhwc->brwc", rows, v),
            lambda v: ops.einsum("bhwc,bhwd->bcd", v, ops.tanh(v)) * 0.1,
            lambda v: ops.einsum("bhwc,bhvc->bhwv", v, v) * 0.2,
            lambda v: ops.einsum("bhwc->bhc", v) * 0.1,
            lambda v: ops.einsum("bhwc,bhwc->bhw", v, ops.tanh(v)),
            lambda v: ops.einsum("...c,cd->...d", v, matrix),
            lambda v: ops.tensordot(v, matrix, axes=1),
            lambda v: ops.matmul(side, v),
            lambda v: ops.dot(v, matrix),
            lambda v: ops.matmul(v, ops.transpose(v, (0, 1, 3, 2))) * 0.2,
            lambda v: ops.matmul(ops.mean(v, axis=1), matrix),
            lambda v: ops.einsum("bhwc,wc->bhc", v, side[:, :1] * np.ones((1, v.shape[-1]), "f4")),
            lambda v: ops.einsum("bhwc,c->bhw", v, matrix[:, 0]),
            lambda v: ops.einsum("bhwc,wcd->bhwd", v, np.stack([matrix] * v.shape[2])),
        ]
        return d.compute(d.of(options), x)
    if len(x.shape) == 3:
        matrix = d.array((x.shape[-1], d.whole(2, 8)))
        options = [
            lambda v: ops.matmul(v, matrix),
            lambda v: ops.matmul(ops.transpose(v, (0, 2, 1)), v) * 0.1,
            lambda v: ops.einsum("btc,bsc->bts", v, v) * 0.2,
            lambda v: ops.softmax(ops.matmul(v, ops.swapaxes(v, 1, 2))) @ v,
            lambda v: ops.dot_product_attention(v[:, :, None], v[:, :, None], v[:, :, None])[
                :, :, 0
            ],
        ]
        if x.shape[1] > 80:
            raise NotHere
        return d.compute(d.of(options), x)
    matrix = d.array((x.shape[-1], d.whole(2, 8)))
    options = [
        lambda v: ops.matmul(v, matrix),
        lambda v: v[:, :, None] * v[:, None, :],
    ]
    return d.compute(d.of(options), x)


@block
def image_operations(d: Draw, x: Any) -> Any:
    at_least(x, 3)
    size = d.whole(2, 14), d.whole(2, 14)
    kind = d.of(["bilinear", "nearest", "bicubic", "lanczos3", "lanczos5", "area"])
    antialias, edges = d.some(0.3), d.of(["valid", "same"])
    channels = x.shape[-1]
    options: list[Callable[[Any], Any]] = [
        lambda v: ops.image.resize(v, size, "bilinear", antialias=antialias),
        lambda v: ops.image.resize(v, size, "nearest"),
        lambda v: ops.image.resize(v, size, "bicubic", antialias=antialias),
        lambda v: ops.image.resize(
            v, size, "bilinear" if kind == "area" else kind, antialias=antialias
        ),
        lambda v: ops.image.extract_patches(v, 2, padding=edges),
        lambda v: ops.image.extract_patches(v, (2, 3), strides=1, padding="same"),
        lambda v: ops.image.crop_images(
            v, top_cropping=1, left_cropping=1, target_height=2, target_width=2
        ),
        lambda v: ops.image.pad_images(v, 1, 1, bottom_padding=1, right_padding=0),
        lambda v: ops.image.gaussian_blur(v, (3, 3), (1.0, 1.0)),
        lambda v: ops.image.rgb_to_grayscale(v[..., :3]) if channels >= 3 else v,
    ]
    return d.compute(d.of(options), x)


@block
def nn_operations(d: Draw, x: Any) -> Any:
    at_least(x, 4)
    channels = x.shape[-1]
    kernel = d.array((3, 3, channels, 4)) * 0.2
    single = d.array((3, 2, channels, 1)) * 0.4
    back = d.array((3, 3, 4, channels)) * 0.2
    point = d.array((1, 1, channels, 5)) * 0.4
    mean, variance = d.array((channels,)) * 0.2, np.abs(d.array((channels,))) + 0.3
    rate, axis, order = d.of([1, 2]), d.of([-1, 1]), d.of([1, 2, 3])
    over = d.of([1, 2, (1, 2)])
    options: list[Callable[[Any], Any]] = [
        lambda v: ops.conv(v, kernel, padding="same", dilation_rate=rate),
        lambda v: ops.conv(v, kernel, strides=(2, 1), padding="valid"),
        lambda v: ops.depthwise_conv(v, single, padding="same"),
        lambda v: ops.depthwise_conv(v, single, padding="valid", dilation_rate=(1, 2)),
        lambda v: ops.separable_conv(v, single, point, padding="same"),
        lambda v: ops.conv_transpose(v, back, strides=2, padding="same"),
        lambda v: ops.max_pool(v, 2, strides=1, padding="same"),
        lambda v: ops.average_pool(v, (2, 3), strides=2, padding="same"),
        lambda v: ops.batch_normalization(v, mean, variance, axis=-1),
        lambda v: ops.normalize(v + 0.137, axis=axis),
        lambda v: ops.normalize(v + 0.137, axis=-1, order=order),
        lambda v: ops.softmax(v, axis=over),
        lambda v: ops.threshold(v, 0.137, -0.5),
        lambda v: ops.hard_tanh(v),
        lambda v: ops.layer_normalization(v, axis=-1),
        lambda v: ops.one_hot(ops.cast(v[..., 0] > 0.137, "int32"), 3) * 1.0,
        lambda v: ops.unfold(ops.transpose(v, (0, 3, 1, 2)), (2, 2), stride=2),
    ]
    return d.compute(d.of(options), x)


@block
def only_in_training(d: Draw, x: Any) -> Any:
    kinds: list[Callable[[], Any]] = [
        lambda: layers.Dropout(0.5),
        lambda: layers.GaussianNoise(0.5),
        lambda: layers.GaussianDropout(0.3),
        lambda: layers.AlphaDropout(0.3),
        lambda: layers.ActivityRegularization(0.1),
        lambda: layers.Identity(),
    ]
    if len(x.shape) == 4:
        kinds += [
            lambda: layers.SpatialDropout2D(0.3),
            lambda: layers.RandomFlip(),
            lambda: layers.RandomRotation(0.1),
            lambda: layers.RandomZoom(0.1),
            lambda: layers.RandomTranslation(0.1, 0.1),
            lambda: layers.RandomContrast(0.1),
            lambda: layers.RandomErasing(),
            lambda: layers.RandomShear(0.1, 0.1),
        ]
    return d.put(d.of(kinds)(), x)


@block
def nested(d: Draw, x: Any) -> Any:
    picture_like(x)
    kind = d.whole(0, 2)
    conv = layers.Conv2D(x.shape[-1], 3, padding="same", activation="relu")
    if kind == 0:
        inner = keras.Sequential([layers.Input(x.shape[1:]), conv, layers.BatchNormalization()])
        return inner(x)
    i = keras.Input(x.shape[1:])
    if kind == 1:
        inner = keras.Model(i, layers.Add()([conv(i), i]))
        return inner(inner(x)) if d.some(0.5) else d.put(inner, x)
    j = keras.Input(x.shape[1:])
    inner = keras.Model([i, j], [layers.Subtract()([conv(i), j]), layers.Multiply()([i, j])])
    first, second = inner([x, layers.Activation("tanh")(x)])
    return first + second


@block
def shared(d: Draw, x: Any) -> Any:
    picture_like(x)
    layer = layers.Conv2D(x.shape[-1], 3, padding="same", activation=activation(d))
    other = layers.AveragePooling2D(2, 1, padding="same")(x)
    return layers.Concatenate()([layer(x), layer(other)])


@block
def time_distributed(d: Draw, x: Any) -> Any:
    if len(x.shape) == 3:
        kind = d.of([layers.Conv1D(5, 3, padding="same"), layers.GlobalAveragePooling1D()])
        return d.put(kind, x)
    picture_like(x)
    return layers.TimeDistributed(layers.Conv1D(4, 3, padding="same"))(x)


@block
def sequence(d: Draw, x: Any) -> Any:
    """Layers of one dimension, on rows of pixels."""
    if len(x.shape) == 4:
        x = layers.Reshape((-1, x.shape[-1]))(x)
    if len(x.shape) != 3 or x.shape[1] < 4 or x.shape[1] > 150:
        raise NotHere
    kinds: list[Callable[[], Any]] = [
        lambda: layers.Conv1D(
            5, 3, padding=d.of(["same", "valid", "causal"]), strides=d.of([1, 2])
        ),
        lambda: layers.DepthwiseConv1D(3, padding="same"),
        lambda: layers.SeparableConv1D(5, 3, padding="same"),
        lambda: layers.Conv1DTranspose(4, 3, strides=2, padding="same"),
        lambda: layers.MaxPooling1D(2),
        lambda: layers.AveragePooling1D(3, 2, padding="same"),
        lambda: layers.GlobalMaxPooling1D(),
        lambda: layers.UpSampling1D(2),
        lambda: layers.ZeroPadding1D(2),
        lambda: layers.Cropping1D(1),
    ]
    return d.put(d.of(kinds)(), x)


# in front and at the end


def front(d: Draw, x: Any) -> tuple[Any, Any]:
    """What scales the pixels, and what was done to them before the network saw them."""
    height, width, channels = x.shape[1:]
    raw = {"mean": (0.0,), "std": (1.0,)}
    kind = d.whole(0, 13)
    colour = channels == 3
    if kind == 0:
        return x, d.of(
            [
                {"mean": (0.0,), "std": (255.0,)},
                {"mean": (127.5,), "std": (127.5,)},
                {"mean": (123.7, 116.3, 103.5)[:channels], "std": (58.4, 57.1, 57.4)[:channels]},
                {"mean": (127.0,), "std": (128.0,)},
            ]
        )
    fronts: list[Callable[[], Any]] = [
        lambda: layers.Rescaling(1 / 255)(x),
        lambda: layers.Rescaling(1 / 127.5, offset=-1)(x),
        lambda: x / 255.0,
        lambda: (x - 127.5) / 127.5,
        lambda: ops.subtract(ops.divide(x, 127.5), 1.0),
        lambda: 1.0 - x / 255.0,
        lambda: x * np.array([1 / 255, 1 / 200, 1 / 230][:channels], "f4"),
        lambda: layers.Normalization(
            mean=[120.0, 110.0, 100.0][:channels], variance=[3600.0, 3500.0, 3700.0][:channels]
        )(x),
        lambda: layers.Normalization(
            axis=1, mean=d.rng.uniform(90, 140, height), variance=d.rng.uniform(3e3, 5e3, height)
        )(x),
        lambda: layers.Normalization(axis=None, mean=120.0, variance=4000.0)(x),
        lambda: keras.applications.mobilenet_v2.preprocess_input(x),
        lambda: (
            keras.applications.imagenet_utils.preprocess_input(x, mode=d.of(["caffe", "torch"]))
            if colour
            else x / 128
        ),
        lambda: layers.Rescaling(1 / 255)(
            layers.Resizing(
                d.whole(8, 20),
                d.whole(8, 20),
                interpolation=d.of(["bilinear", "nearest", "bicubic", "lanczos3"]),
                **d.of([{}, {}, {"crop_to_aspect_ratio": True}, {"pad_to_aspect_ratio": True}]),
            )(x)
        ),
        lambda: layers.Rescaling(1 / 255)(layers.CenterCrop(height - 3, width - 2)(x)),
        lambda: layers.Rescaling(
            [1 / 255, 1 / 250, 1 / 245][:channels], [0.1, 0.0, -0.1][:channels]
        )(x),
        lambda: layers.BatchNormalization()(x / 64.0),
        lambda: layers.ZeroPadding2D(1)(x / 255.0),
        lambda: ops.concatenate([x[..., ::-1], x[..., :1]], axis=-1) / 255.0,
        lambda: layers.Rescaling(1 / 255)(layers.RandomCrop(height - 2, width - 4)(x)),
        lambda: ops.image.rgb_to_grayscale(x) / 255.0 if colour else x / 255.0,
        lambda: layers.AveragePooling2D(2)(x) / 255.0,
        lambda: ops.image.resize(x, (12, 10), antialias=True) / 255.0,
        lambda: ops.cast(x, "float32") / 255.0,
    ]
    return d.of(fronts)(), raw


def head(d: Draw, x: Any) -> tuple[Any, Kind | None, str | None]:
    """The end: the outputs, what is said of them, and what export adds."""
    classes = d.whole(3, 5)
    if len(x.shape) == 4 and d.some(0.2):
        x = layers.GlobalAveragePooling2D(keepdims=True)(x)
        z = layers.Conv2D(classes, 1)(x)
        spread(d, z)
        last = d.of([layers.Softmax(), layers.Activation("softmax"), layers.Activation("sigmoid")])
        z = last(z)
        return (layers.Flatten()(z) if d.some(0.5) else z), None, None
    if len(x.shape) == 4 and d.some(0.7):
        pool = d.of([layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D])
        x = pool()(x) if d.some(0.7) else ops.mean(x, axis=(1, 2))
    elif len(x.shape) == 3 and d.some(0.4):
        x = layers.GlobalAveragePooling1D()(x)
    if len(x.shape) > 2:
        x = layers.Flatten()(x)
    if d.some(0.2):
        x = layers.Dropout(0.3)(layers.Dense(8, activation="relu")(x))
        d.randomise(x)
    kind = d.whole(0, 8)
    units = 1 if kind in (1, 2) else classes
    z = layers.Dense(units)(x)
    spread(d, z)
    match kind:
        case 1:
            return layers.Activation("sigmoid")(z), None, None
        case 2:
            return z, None, "sigmoid"
        case 3:
            return ops.sigmoid(z), None, None
        case 4:
            return z, "softmax", "softmax"
        case 5:
            return z, "sigmoid", "sigmoid"
        case 6:
            return z, None, "softmax"
        case 7:
            return ops.softmax(z), None, None
        case 8:
            other = layers.Dense(classes, activation="softmax")(x)
            return layers.Average()([layers.Softmax()(z), other]), None, None
    return layers.Softmax()(z), None, None


def spread(d: Draw, z: Any) -> None:
    """Scale the layer that makes the logits, so that answers differ."""
    d.randomise(z)
    values = d.values(z).reshape(len(d.probe), -1)
    layer = z._keras_history.operation
    factor = 2 / (values.std(0).mean() + 0.1 * np.abs(values).mean() + 1e-3)
    layer.kernel.assign(layer.kernel * factor)
    layer.bias.assign(layer.bias * factor - values.mean(0) * factor)


def pictures(count: int, size: tuple[int, int, int], seed: int) -> np.ndarray:
    """Fields of colour with edges and grain: something that networks answer differently."""
    import cv2

    rng = np.random.default_rng(seed)
    height, width, channels = size
    found = np.empty((count, *size), np.uint8)
    for picture in found:
        field = cv2.resize(
            rng.uniform(0, 255, (4, 4, 3)), (width, height), interpolation=cv2.INTER_CUBIC
        )
        for _ in range(3):
            centre = int(rng.integers(width)), int(rng.integers(height))
            radius = int(rng.integers(2, max(3, height // 3)))
            cv2.circle(field, centre, radius, rng.uniform(0, 255, 3).tolist(), -1)
        field = np.clip(field + rng.normal(0, 6, field.shape), 0, 255)
        picture[...] = field[..., :channels]
    return found


SIZES = ((16, 16), (17, 23), (12, 15), (15, 15), (20, 14), (24, 24), (9, 18))


def build(seed: int, only: Sequence[str] = ()) -> Drawn:
    """The network of a seed; `only` restricts the blocks, for looking closer."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    size = (*SIZES[int(rng.integers(len(SIZES)))], int(rng.choice([1, 3, 3])))
    picture = keras.Input(size)
    d = Draw(rng, picture, None)
    x, before = front(d, picture)
    preprocessing = Preprocessing(*size, **before)
    d.probe = preprocessing.normalise(pictures(12, size, seed + 1))
    names = list(only or BLOCKS)
    wanted, tries = d.whole(2, 6), 0
    d.randomise(x)
    if d.values(x).shape[1:] != x.shape[1:]:  # a RandomCrop of Keras that resizes, say
        x = layers.Rescaling(1 / 255)(picture)
    while len(d.said) < wanted and tries < 60:
        tries += 1
        name = d.of(names)
        try:
            found = BLOCKS[name](d, x)
            shape = found.shape[1:]
            if (
                getattr(found, "sparse", False)
                or None in shape
                or not 1 <= len(shape) <= 3
                or not 4 <= np.prod(shape) <= LARGEST
            ):
                continue
            d.randomise(found)
            values = d.values(found)
            if values.shape[1:] != shape:
                raise ValueError(f"Keras said {shape} and gives {values.shape[1:]}")
        except NotHere:
            continue
        except Exception as error:  # Keras has its limits too
            d.failed.append(f"{name}: {' '.join(str(error).split())[:200]}")
            continue
        assert np.isfinite(values).all(), f"{name} of seed {seed} gives no numbers"
        if values.std(0).mean() < 0.02 * (values.std() + 0.1 * abs(values.mean())) + 1e-4:
            continue  # the same for every picture
        tame = 0.1 < values.std() < 5 and abs(values.mean()) < 10
        d.said.append(name)
        x = found
        if not tame or d.some(0.25):
            x = d.normed(x, values)
            d.said.append("(BatchNorm)")
    outputs, said, added = head(d, x)
    d.randomise(outputs)
    model = keras.Model(picture, outputs, name=f"seed_{seed}")
    return Drawn(seed, model, d.said, preprocessing, size, said, added, d.failed)


def under(policy: str, seed: int) -> Drawn:
    """The network of a seed, built under a policy, with its float32 twin's weights."""
    twin = build(seed)
    keras.config.set_dtype_policy(policy)
    try:
        drawn = build(seed)
    finally:
        keras.config.set_dtype_policy("float32")
    drawn.model.set_weights(twin.model.get_weights())
    drawn.policy, drawn.twin = policy, twin.model
    return drawn


def describe(drawn: Drawn) -> str:
    """The layers in order, and how to run the network alone."""
    lines = [
        f"seed {drawn.seed}: {drawn.size}, {drawn.policy}, head {drawn.head}, added {drawn.added}",
        f"  blocks: {', '.join(drawn.blocks)}",
        f"  {drawn.preprocessing}",
        *_operations(drawn.model, "  "),
        f"  alone: python tests/export/differential.py {drawn.seed}",
    ]
    return "\n".join(lines)


QUIET = {"name", "trainable", "dtype", "data_format", "seed", "build_config"}


def _operations(model: Any, indent: str) -> list[str]:
    lines = []
    for operation in getattr(model, "_functional", None) or (model and model.operations):
        node = operation._inbound_nodes[-1] if operation._inbound_nodes else None
        shape = getattr(node.outputs[0], "shape", "") if node else ""
        lines.append(f"{indent}{operation.name}: {_spelled(operation)} -> {shape}")
        if isinstance(operation, keras.Model):
            lines += _operations(operation, indent + "    ")
    return lines


def _spelled(operation: Any) -> str:
    kind = type(operation).__name__
    if isinstance(operation, Inside):
        return f"Inside {_spelled(operation.layer)}"
    if isinstance(operation, Computes):
        import inspect

        try:
            lines = inspect.getsource(operation.function).strip().splitlines()
        except (OSError, TypeError):
            return f"Computes {operation.function}"
        free = inspect.getclosurevars(operation.function).nonlocals
        small = {k: v for k, v in free.items() if not isinstance(v, np.ndarray)}
        return f"Computes {' '.join(line.strip() for line in lines)[:200]} {small}"
    if isinstance(operation, layers.Layer):
        if isinstance(operation, keras.Model):
            return kind
        try:
            config = operation.get_config()
        except NotImplementedError:
            config = {}
        kept = {
            key: value
            for key, value in config.items()
            if key not in QUIET
            and not key.endswith(("_regularizer", "_initializer", "_constraint"))
        }
        return (
            f"{kind}({', '.join(f'{k}={str(v)[:60]}' for k, v in kept.items() if v is not None)})"
        )
    own = {k: v for k, v in vars(operation).items() if not k.startswith("_") and k != "name"}
    return f"{kind}({', '.join(f'{k}={str(v)[:60]}' for k, v in own.items())})"


def drawn(seed: int) -> Drawn:
    """The network of a seed; one in ten is built for mixed precision."""
    if seed % 10 == 3:
        return under("mixed_float16", seed)
    return under("mixed_bfloat16", seed) if seed % 10 == 7 else build(seed)
