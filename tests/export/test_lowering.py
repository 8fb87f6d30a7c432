"""Every Keras layer that export knows, in every format, against Keras itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from edgecnn.errors import ExportError
from edgecnn.export.folding import fold
from edgecnn.export.formats.onnx import write as write_onnx
from edgecnn.export.formats.openvino import write as write_openvino
from edgecnn.export.formats.tflite import write as write_tflite
from edgecnn.export.heads import with_probabilities
from edgecnn.export.lowering import lower
from edgecnn.export.network import answers as reference
from edgecnn.graph import Graph
from edgecnn.preprocessing import Preprocessing
from edgecnn.targets.engines import runtimes

WRITERS = {"litert": write_tflite, "onnxruntime": write_onnx, "openvino": write_openvino}
FILES = {"litert": "model.tflite", "onnxruntime": "model.onnx", "openvino": "model.xml"}
SIDE = 15  # odd: `same` pads unevenly with stride 2

Block = Callable[[Any], Any]


def activated(kind: str) -> Block:
    return lambda x: layers.Conv2D(6, 3, activation=kind)(x)


BLOCKS: dict[str, Block] = {
    "conv": lambda x: layers.Conv2D(8, 3)(x),
    "conv same stride": lambda x: layers.Conv2D(8, 3, strides=2, padding="same")(x),
    "conv even kernel": lambda x: layers.Conv2D(8, 4, strides=2, padding="same")(x),
    "conv dilated": lambda x: layers.Conv2D(8, 3, dilation_rate=2, padding="same")(x),
    "conv oblong": lambda x: layers.Conv2D(8, (1, 5), padding="same")(x),
    "conv grouped": lambda x: layers.Conv2D(8, 3, groups=4, padding="same", use_bias=False)(
        layers.Conv2D(8, 1)(x)
    ),
    "depthwise": lambda x: layers.DepthwiseConv2D(3, strides=2, padding="same")(x),
    "depthwise multiplier": lambda x: layers.DepthwiseConv2D(3, depth_multiplier=2)(x),
    "separable": lambda x: layers.SeparableConv2D(8, 3, padding="same")(x),
    "batch norm behind": lambda x: layers.BatchNormalization()(layers.Conv2D(8, 3)(x)),
    "batch norm behind depthwise": lambda x: layers.BatchNormalization()(
        layers.DepthwiseConv2D(3, depth_multiplier=2)(x)
    ),
    "batch norm in front": lambda x: layers.Conv2D(8, 3, padding="same")(
        layers.BatchNormalization()(x)
    ),
    "batch norm in front, no padding": lambda x: layers.Conv2D(8, 3)(
        layers.BatchNormalization()(x)
    ),
    "batch norm without scale": lambda x: layers.BatchNormalization(scale=False, center=False)(
        layers.Conv2D(8, 3)(x)
    ),
    "pad then conv": lambda x: layers.Conv2D(8, 7, strides=2)(layers.ZeroPadding2D(3)(x)),
    "uneven pad": lambda x: layers.Conv2D(8, 3, strides=2)(
        layers.ZeroPadding2D(((0, 1), (1, 0)))(x)
    ),
    "pad then max pool": lambda x: layers.MaxPooling2D(3, 2)(
        layers.ZeroPadding2D(1)(layers.ReLU()(layers.Conv2D(8, 3)(x)))
    ),
    "pad then max pool of negatives": lambda x: layers.MaxPooling2D(3, 2)(
        layers.ZeroPadding2D(1)(layers.Conv2D(8, 3)(x))
    ),
    "max pool same": lambda x: layers.MaxPooling2D(3, 2, padding="same")(x),
    "average pool same": lambda x: layers.AveragePooling2D(3, 2, padding="same")(x),
    "global max pool": lambda x: layers.GlobalMaxPooling2D(keepdims=True)(x),
    "residual": lambda x: layers.ReLU()(layers.Add()([layers.Conv2D(3, 3, padding="same")(x), x])),
    "three-way sum": lambda x: layers.Add()([layers.Conv2D(3, 1)(x) for _ in range(3)]),
    "squeeze and excite": lambda x: layers.Multiply()(
        [
            x,
            layers.Conv2D(3, 1, activation="sigmoid")(
                layers.GlobalAveragePooling2D(keepdims=True)(x)
            ),
        ]
    ),
    "squeeze to a vector and back": lambda x: layers.Multiply()(
        [x, layers.Reshape((1, 1, 3))(layers.GlobalAveragePooling2D()(x))]
    ),
    "concatenate": lambda x: layers.Concatenate()(
        [layers.Conv2D(4, 1)(x), layers.MaxPooling2D(3, 1, padding="same")(x)]
    ),
    "hard sigmoid spelled out": lambda x: (
        layers.ReLU(6.0)(layers.Conv2D(4, 1)(x) + 3.0) * (1.0 / 6.0)
    ),
    "rescaling and normalization": lambda x: layers.Conv2D(4, 3, padding="same")(
        layers.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.1, 0.2, 0.3])(
            layers.Rescaling(0.5, 0.1)(x)
        )
    ),
    "flatten a picture": lambda x: layers.Dense(9, activation="relu")(
        layers.Flatten()(layers.Conv2D(4, 5, strides=3)(x))
    ),
    "dense chain": lambda x: layers.Dense(12, activation="tanh")(
        layers.BatchNormalization()(layers.Dense(16, activation="relu")(layers.Flatten()(x)))
    ),
    "dropout and noise": lambda x: layers.GaussianNoise(0.1)(
        layers.SpatialDropout2D(0.5)(layers.Dropout(0.5)(x))
    ),
    "layer norm": lambda x: layers.LayerNormalization()(layers.Conv2D(6, 3)(x)),
    "group norm": lambda x: layers.GroupNormalization(3)(layers.Conv2D(6, 3)(x)),
    "transposed": lambda x: layers.Conv2DTranspose(4, 3, strides=2, padding="same")(x),
    "transposed, short kernel": lambda x: layers.Conv2DTranspose(4, (2, 1), strides=(3, 2))(x),
    "parametric": lambda x: layers.PReLU(shared_axes=[1], alpha_initializer="normal")(x),
    "upsampled": lambda x: layers.UpSampling2D((2, 3))(x),
    "upsampled bilinearly": lambda x: layers.UpSampling2D(2, interpolation="bilinear")(x),
    "dense on a picture": lambda x: layers.Dense(4, activation="gelu")(x),
    "softmax along rows": lambda x: layers.Conv2D(4, 3, activation="relu")(
        layers.Softmax(axis=1)(layers.Conv2D(4, 3)(x))
    ),
    "joined along rows": lambda x: layers.Concatenate(axis=1)([x, layers.AveragePooling2D(1)(x)]),
    "larger and smaller": lambda x: layers.Maximum()(
        [layers.Conv2D(3, 1)(x), layers.Minimum()([x, layers.Conv2D(3, 1)(x)])]
    ),
    "turned": lambda x: layers.Permute((3, 1, 2))(layers.Conv2D(4, 3)(x)),
    "attention": lambda x: layers.Reshape((3, 3, 8))(
        layers.MultiHeadAttention(2, 4)(y := layers.Reshape((9, 8))(layers.Conv2D(8, 5, 5)(x)), y)
    ),
    "operations": lambda x: keras.ops.concatenate(
        [
            keras.ops.roll(x, 2, axis=1)[:, ::2, 1:-1, ::-1],
            keras.ops.max(x, axis=3, keepdims=True)[:, ::2, 1:-1],
            keras.ops.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)), mode="reflect")[:, ::2, 2:-2],
        ],
        axis=-1,
    ),
    **{
        f"activation {kind}": activated(kind)
        for kind in (
            "relu",
            "relu6",
            "leaky_relu",
            "tanh",
            "sigmoid",
            "hard_sigmoid",
            "hard_swish",
            "swish",
            "elu",
            "gelu",
            "selu",
            "mish",
            "celu",
            "softplus",
            "softsign",
            "exponential",
            "log_softmax",
            "hard_tanh",
            "tanh_shrink",
            "squareplus",
            "soft_shrink",
        )
    },
}


def network(block: Block) -> keras.Model:
    keras.utils.set_random_seed(1)
    image = keras.Input((SIDE, SIDE, 3))
    x = block(image)
    if len(x.shape) == 4:
        x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(5, activation="softmax")(x))
    # Fresh BatchNorm is the identity and fresh biases are zero: that would hide mistakes.
    rng = np.random.default_rng(2)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
        elif getattr(layer, "bias", None) is not None:
            layer.bias.assign(rng.normal(0, 0.3, layer.bias.shape))
    return model


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)


def hold_to(expected: np.ndarray, graph: Graph, images: np.ndarray, folder: Path) -> None:
    """Every engine says of a float graph's file what is expected."""
    for runtime, write in WRITERS.items():
        write(graph, None, folder)
        session = runtimes.get(runtime).open(folder / FILES[runtime], threads=1)
        found = np.stack([session.infer(image[None]) for image in images])
        np.testing.assert_allclose(found, expected, atol=2e-5, err_msg=runtime)


@pytest.mark.parametrize("name", BLOCKS)
def test_every_layer_says_in_float_what_keras_says(
    name: str, images: np.ndarray, tmp_path: Path
) -> None:
    model = network(BLOCKS[name])
    preprocessing = Preprocessing(SIDE, SIDE, mean=(100.0, 120.0, 140.0), std=(60.0, 50.0, 70.0))
    expected = reference(model, preprocessing, images)
    assert np.ptp(expected, axis=0).max() > 1e-4, "the pictures must make a difference"
    graph = fold(with_probabilities(lower(model)), preprocessing)
    hold_to(expected, graph, images, tmp_path)


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        ((0.0,), (255.0,)),
        ((127.0,), (128.0,)),
        ((127.5,), (127.5,)),
        ((0.0,), (1.0,)),
        ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
        ((300.0,), (50.0,)),
    ],
)
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_normalisation_moves_into_the_graph(
    mean: tuple[float, ...],
    std: tuple[float, ...],
    padding: str,
    images: np.ndarray,
    tmp_path: Path,
) -> None:
    model = network(lambda x: layers.Conv2D(8, 3, padding=padding)(x))
    preprocessing = Preprocessing(SIDE, SIDE, mean=mean, std=std)
    expected = reference(model, preprocessing, images)
    graph = fold(with_probabilities(lower(model)), preprocessing)
    hold_to(expected, graph, images, tmp_path)


def test_a_scalar_normalisation_costs_no_operator() -> None:
    model = network(lambda x: layers.Conv2D(8, 3, padding="same")(x))
    graph = fold(
        with_probabilities(lower(model)), Preprocessing(SIDE, SIDE, mean=(127.0,), std=(128.0,))
    )
    assert [op.op for op in graph][:2] == ["input", "conv"]
    assert graph.input.attributes == {"scale": 1 / 128, "zero_point": 127}


def test_batch_norm_and_relu_leave_no_operator() -> None:
    model = network(
        lambda x: layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, use_bias=False)(x)))
    )
    graph = fold(with_probabilities(lower(model)))
    assert [op.op for op in graph] == ["input", "conv", "global_avg_pool", "dense", "softmax"]
    assert graph.operators[1].fused == "relu"


def test_of_several_outputs_the_first_is_kept_and_the_rest_dropped() -> None:
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(4, 3, name="shared")(image)
    main = layers.Dense(5, activation="softmax", name="main")(layers.GlobalAveragePooling2D()(x))
    side = layers.Dense(5, activation="softmax", name="side")(layers.Flatten()(x))
    graph = lower(keras.Model(image, [main, side]))
    assert "side" not in graph.by_name
    assert graph[graph.output].op == "softmax"


def test_nested_models_are_opened() -> None:
    inner = network(lambda x: layers.Conv2D(8, 3)(x))
    image = keras.Input((SIDE, SIDE, 3))
    outer = keras.Model(image, inner(image))
    assert [op.op for op in lower(outer)] == [op.op for op in lower(inner)]


def test_a_layer_without_a_rule_is_opened_and_one_that_cannot_be_is_named() -> None:
    model = network(lambda x: layers.UpSampling2D(interpolation="bilinear", name="grow")(x))
    assert [op.op for op in lower(model)][1] == "resize"
    model = network(lambda x: keras.ops.sort(x, axis=2))
    with pytest.raises(ExportError, match=r"no rule for \w+, which sort\w* \(Sort\) computes with"):
        lower(model)


class Dense(layers.Layer):
    """Somebody's own layer, called as one of Keras's is."""

    def call(self, x: Any) -> Any:
        return 3.0 * x + 1.0


def test_a_layer_is_not_taken_for_one_of_keras_by_its_name() -> None:
    graph = lower(network(lambda x: Dense()(x)))
    assert [op.op for op in graph][1:3] == ["affine", "affine"]


def test_a_model_with_a_call_of_its_own_is_not_walked_past_it() -> None:
    class Twice(keras.Model):
        def call(self, x: Any) -> Any:
            return super().call(x) * 2.0

    image = keras.Input((SIDE, SIDE, 3))
    inner = Twice(image, layers.Conv2D(3, 3)(image))
    with pytest.raises(ExportError, match="make it functional"):
        lower(inner)
    outer = keras.Input((SIDE, SIDE, 3))
    assert "affine" in [op.op for op in lower(keras.Model(outer, inner(outer)))]


def test_names_that_writers_make_are_no_layers(images: np.ndarray, tmp_path: Path) -> None:
    """Each of these was made by a writer too, and one of the two was lost."""
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(4, 3, name="c")(image)
    for name in ("c_q", "c_scale", "c_kernel", "image", "image_real", "c_relu", "image_nchw"):
        x = layers.Conv2D(4, 1, activation="relu", name=name)(x)
    x = layers.Dense(6, activation="sigmoid", name="probabilities")(layers.Flatten()(x))
    model = keras.Model(image, layers.Dense(5, activation="softmax", name="c_dq")(x))
    preprocessing = Preprocessing(SIDE, SIDE)
    expected = reference(model, preprocessing, images)
    graph = fold(with_probabilities(lower(model)), preprocessing)
    hold_to(expected, graph, images, tmp_path)


def test_a_network_that_is_no_classifier_is_refused() -> None:
    image = keras.Input((SIDE, SIDE, 3))
    with pytest.raises(ExportError, match="in one value for each class"):
        with_probabilities(lower(keras.Model(image, layers.Conv2D(4, 3)(image))))
